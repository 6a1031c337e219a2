//! Says when the files that were set aside have grown large: the only copies of a person's work, which
//! the launcher never deletes by itself.
//!
//! In: their size, and the size that was reported last. Out: a notice. Never: deletes a file.

use crate::environment::Environment;
use crate::error_chain;
use crate::host;
use crate::model::incident::Incident;
use crate::store::{HomeState, StoreError, probation, usage};

/// Size of the first notice. Hardly a disk is short of less, and a setting would ask a publisher to
/// know the disks of users. Each further notice comes at twice the size of the last one, so that
/// nobody reads the same at each update.
const FIRST_REPORT: u64 = 1 << 30;

/// Leaves a notice if it is due.
pub(super) fn report(environment: &Environment) {
    let bytes = usage::set_aside(&environment.home);
    if let Err(error) = report_size(environment, bytes) {
        tracing::info!(
            error = error_chain::line(&error),
            "nobody is told how large the set-aside files are"
        );
    }
}

fn report_size(environment: &Environment, bytes: u64) -> Result<(), StoreError> {
    let home = &environment.home;
    let state = home.state()?;
    let reported = state.reported_set_aside;
    let next = reported_next(bytes, reported);
    if next == reported {
        return Ok(());
    }
    home.set_state(&HomeState { reported_set_aside: next, ..state })?;
    if next > reported {
        tracing::info!(bytes, "set-aside files have grown");
        probation::leave_notice(home, Incident::SetAside { bytes }, host::now())?;
    }
    Ok(())
}

/// The size that is reported last after a look that found `bytes`: a larger one than before if a
/// notice is due, and 0 once the files are small again.
fn reported_next(bytes: u64, reported: u64) -> u64 {
    if bytes < FIRST_REPORT {
        0
    } else if bytes >= reported.saturating_mul(2) {
        bytes
    } else {
        reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_comes_at_the_first_size_and_at_each_doubling() {
        let giga = FIRST_REPORT;
        let sizes = [giga / 2, giga, giga + 9, 2 * giga - 1, 2 * giga, 3 * giga, 5 * giga, 9, giga];
        let mut reported = 0;
        let reports: Vec<bool> = sizes
            .iter()
            .map(|bytes| {
                let next = reported_next(*bytes, reported);
                std::mem::replace(&mut reported, next) < next
            })
            .collect();
        assert_eq!(reports, [false, true, false, false, true, false, true, false, true]);
    }
}
