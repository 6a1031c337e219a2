//! The window: a driver of the engine. It takes events, shows phases, and sends the user's choices.
//!
//! In: [`Handle`](crate::messages::mailbox::Handle), the state so far, names and settings. Out:
//! commands, and why the window closed. Never: a decision about updates, a file or a network
//! connection. Every fault in this module is returned as an error, so that the caller can start the
//! app without a window.
//!
//! ```text
//! view_state  pure: events -> what a screen shows     actions  pure: a state -> its buttons
//! dialog/     the screens, the version menu, keys     theme, fonts, icons, widgets, markdown
//! texts       the catalogue, figures for people       plan_text  what an update costs, and why
//! notice_text  incidents in words                     blocker_text  why a restart is needed
//! open        opens a window, or reports what failed  window_options  what a window needs to open
//! appearance  how a window looks when it opens        file_dialog  the system's file dialog
//! window      with OpenGL (eframe)                    software, rasteriser  without OpenGL
//! event_loop  the only one of the process             screen  where a window goes, its corners
//! error       why no window opened
//! notification/         the small window beside a running app
//! system_notification/  the system's own notification in its place
//! ```

mod actions;
mod appearance;
mod blocker_text;
pub(crate) mod dialog;
mod error;
mod event_loop;
mod file_dialog;
pub(crate) mod fonts;
pub(crate) mod icons;
pub(crate) mod letter;
pub(crate) mod markdown;
mod notice_text;
pub(crate) mod notification;
mod open;
mod plan_text;
pub(crate) mod rasteriser;
mod screen;
mod software;
mod system_notification;
pub(crate) mod texts;
pub mod theme;
pub(crate) mod view_state;
pub(crate) mod widgets;
mod window;
mod window_options;

pub use appearance::Appearance;
pub use dialog::{CloseReason, Dialog, DialogOptions, Picked};
pub(crate) use error::WindowError;
pub use event_loop::catch_up;
pub(crate) use notification::Notified;
pub use notification::{Notification, NotificationEnd, NotificationOptions, notify};
pub use open::open;
pub(crate) use open::{show_problem, tell_no_window};
pub(crate) use plan_text::{repaired_subtitle, repaired_title};
pub use system_notification::notify_by_system;
pub use texts::{Language, Texts};
pub use view_state::ViewState;
pub use window_options::WindowOptions;
