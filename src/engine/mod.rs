//! The update engine: commands in, events out. Window, headless mode and tests drive it in the same
//! way.
//!
//! ```text
//! machine      the pure core: step(input) -> effects
//! driver       performs effects
//! installed    what is installed, as a person sees it
//! menu         reports that, and the user's switches
//! ```
//!
//! In: commands and inputs of [`crate::messages`]. Out: events, and effects that `update`,
//! `session` and `store` perform. Never: knows a window, or lets another place decide what comes
//! next.

pub(crate) mod driver;
pub(crate) mod installed;
pub(crate) mod machine;
mod menu;
mod reporting;
