//! How a notification can end.

/// How a notification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationEnd {
    /// The user chose "now" and the update is in place: taken over by the running app, started, or
    /// installed for the next start.
    Done,
    /// The user chose "later" for an offer, or cancelled the download.
    Declined,
    /// The user did not answer in time.
    TimedOut,
    /// The user wants the dialog, or there is a text for which this window is too small. The caller
    /// opens the dialog with the state.
    Details,
    EngineEnded,
}
