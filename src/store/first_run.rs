//! The app's first start after the first installation, of which the app is told once: it may
//! welcome its user, or register itself.
//!
//! A file in the home stands for that start from the installation until it comes. It is removed
//! before the app starts, so that no second start is the first one as well: where it cannot be
//! removed (a home that nobody may write), no start is.
//!
//! In: a home. Out: whether a start is the first one. Never: keeps an installation or a start from
//! succeeding.

use std::io;

use super::Home;
use crate::durable;
use crate::error_chain;

/// The variable that the first start has, with the value `1`.
pub(super) const VARIABLE: &str = "KUZFLOW_FIRST_RUN";

/// Notes that the next start is the first one.
pub(super) fn expect(home: &Home) {
    let path = home.first_run();
    if let Err(error) = durable::replace(&path, b"") {
        tracing::warn!(
            error = error_chain::line(&error),
            path = %path.display(),
            "the app will not know its first start"
        );
    }
}

/// Whether the start that comes now is the first one. Another start is not.
pub(super) fn take(home: &Home) -> bool {
    let path = home.first_run();
    match std::fs::remove_file(&path) {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(
                    error = error_chain::line(&error),
                    path = %path.display(),
                    "the app does not know its first start"
                );
            }
            false
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use crate::store::fixture::Fixture;
    use crate::store::launch::{Call, Which, start};
    use crate::store::switch::{SwitchOptions, switch};

    const REPORTS: &str =
        "#!/bin/sh\necho \"first=$KUZFLOW_FIRST_RUN\" > \"$KUZFLOW_HOME/reported\"\n";

    fn started(fixture: &Fixture, id: &crate::model::ContainerId) -> String {
        fixture.write(id, "runtime/run", REPORTS);
        let session = |name: &str| (name == super::VARIABLE).then(|| "1".into());
        let call = Call { variable: &session, ..Call::PLAIN };
        let app = start(&fixture.home, &fixture.record(id), Which::Active, call).unwrap();
        app.wait();
        fixture.read(id, "reported").unwrap().trim().to_owned()
    }

    #[test]
    fn only_the_first_start_after_the_first_installation_is_the_first() {
        let fixture = Fixture::new();
        let one = fixture.install("1.0.0", &[]);
        switch(&fixture.home, &one, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        // A program that cannot be started leaves it to the next start.
        let program = fixture.home.container(&one).join("runtime/run");
        let aside = program.with_extension("aside");
        std::fs::rename(&program, &aside).unwrap();
        let record = fixture.record(&one);
        assert!(start(&fixture.home, &record, Which::Active, Call::PLAIN).is_err());
        std::fs::rename(&aside, &program).unwrap();
        assert_eq!(started(&fixture, &one), "first=1");
        assert_eq!(started(&fixture, &one), "first=");
        let two = fixture.install("2.0.0", &[]);
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        assert_eq!(started(&fixture, &two), "first=");
    }
}
