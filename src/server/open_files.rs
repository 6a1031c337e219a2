//! Raises the process's limit of open files as far as the limits on connections need it: each
//! connection needs one open file, and so does each file that is being sent.

use super::ServerLimits;

/// Files besides connections: the log, the listening socket, the repository's documents, checks of
/// other nodes, packs in the making.
const BESIDES: u64 = 128;

/// How many files the server can have open within these limits.
fn needed(limits: &ServerLimits) -> u64 {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    count(limits.connections)
        .saturating_mul(2)
        .saturating_add(count(limits.listeners))
        .saturating_add(BESIDES)
}

/// Raises the process's own limit as far as it may, and logs a warning if that is not enough.
#[cfg(unix)]
pub(super) fn make_room(limits: &ServerLimits) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = needed(limits);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let possible = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(possible), maximum });
    if raised.is_err() || possible < needed {
        let allowed = if raised.is_ok() { possible } else { current.unwrap_or(possible) };
        tracing::warn!(
            needed,
            allowed,
            "the system allows fewer open files than all connections and listeners can take; raise LimitNOFILE or lower --listeners"
        );
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
pub(super) fn make_room(limits: &ServerLimits) {
    let _ = needed(limits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_may_send_a_file_and_a_listener_does_not() {
        let limits = ServerLimits { connections: 100, listeners: 1000, ..ServerLimits::default() };
        assert_eq!(needed(&limits), 200 + 1000 + BESIDES);
    }
}
