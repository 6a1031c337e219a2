//! The update engine: commands in, events out. Window, headless mode and tests are three equal drivers of it.
//!
//! [`protocol`] is the language, [`machine`] the pure core (`step(input) -> effects`), [`driver`] performs effects.

pub mod app;
mod check;
pub mod context;
pub mod described;
pub mod driver;
pub mod machine;
pub mod mailbox;
pub mod own_update;
mod planning;
pub mod problem;
pub mod protocol;
mod update;
