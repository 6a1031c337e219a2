//! Decides which faults of a small document are temporary, and how long to wait before the next
//! try.

use std::time::Duration;

use super::FetchError;
use crate::backoff::Backoff;

/// Tries for one document at most.
const TRIES: u32 = 4;
/// The longest pause that a node may ask for. For a longer one, the next node is asked.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// Pauses where the node asks for none.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), longest: MAX_PAUSE };

/// A request that failed.
pub(super) struct Failed {
    pub(super) error: FetchError,
    /// Seconds after which the node wants to be asked again.
    pub(super) retry_after: Option<f64>,
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self { error, retry_after: None }
    }
}

/// How long to wait before the next try for the document, after `tries` that failed; `None` if
/// another try makes no sense.
pub(super) fn pause(failed: &Failed, tries: u32) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let usual = BACKOFF.pause(tries);
    match &failed.error {
        FetchError::Status { status, .. }
            if *status >= 500 || matches!(status, 408 | 425 | 429) =>
        {
            let pause = failed
                .retry_after
                .map_or(Some(usual), |seconds| Duration::try_from_secs_f64(seconds).ok())?;
            (pause <= MAX_PAUSE).then_some(pause)
        }
        // A name that is not found now may be found soon: Wi-Fi comes up, a VPN switches over. One
        // more try is enough.
        FetchError::Http { source, .. } if source.is_connect() => {
            (tries == 1 && is_of_a_name(source)).then_some(usual * 2)
        }
        FetchError::Http { source, .. } if source.is_redirect() || source.is_builder() => None,
        // The other side had closed an idle connection, or a connection broke midway: try a new one
        // at once.
        FetchError::Http { .. } => Some(if tries == 1 { Duration::ZERO } else { usual }),
        _ => None,
    }
}

/// Whether the fault was that a name has no address.
fn is_of_a_name(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    std::iter::from_fn(|| {
        let this = cause?;
        cause = this.source();
        Some(this)
    })
    .any(|cause| cause.to_string().contains("dns error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(status: u16, retry_after: Option<f64>, tries: u32) -> Option<u64> {
        let url = "http://127.0.0.1:1/".parse().unwrap();
        let failed = Failed { error: FetchError::Status { url, status }, retry_after };
        pause(&failed, tries).map(|pause| pause.as_millis() as u64)
    }

    #[test]
    fn what_passes_is_waited_out_and_what_stays_is_not() {
        assert_eq!(
            [1, 2, 3, 4].map(|tries| after(503, None, tries)),
            [Some(500), Some(1000), Some(2000), None]
        );
        assert_eq!(after(503, Some(1.0), 1), Some(1000));
        assert_eq!(after(429, Some(10.0), 1), Some(10_000));
        assert_eq!(after(503, Some(3600.0), 1), None);
        assert_eq!(after(503, Some(-1.0), 1), None);
        assert_eq!(after(503, Some(f64::NAN), 1), None);
        assert_eq!(after(401, None, 1), None);
    }
}
