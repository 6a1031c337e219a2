//! The update engine: commands in, events out. Window, headless mode and tests are three equal
//! drivers of it.
//!
//! ```text
//! machine      the pure core: step(input) -> effects
//! driver       performs effects
//! installed    what is installed, as a person sees it
//! ```
//!
//! In: commands and inputs of [`crate::messages`]. Out: events, and effects that `update`,
//! `session` and `store` perform.
//! Never: a window, a second place that decides what comes next.

pub(crate) mod driver;
pub(crate) mod installed;
pub(crate) mod machine;
