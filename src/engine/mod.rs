//! The update engine: commands in, events out. Window, headless mode and tests are three equal drivers of it.
//!
//! [`protocol`] is the language, [`machine`] the pure core (`step(input) -> effects`), [`driver`] performs effects.
//!
//! ```text
//! check ── planning            what there is, and the cheapest way to it
//! update  repair               a new version, an old one mended
//!    └──┬────┘
//! applying  entries  described   packs applied; single files and documents of a package, over a line
//! ```

pub mod app;
mod applying;
mod check;
pub mod context;
pub mod described;
pub mod driver;
mod entries;
mod from_file;
mod health;
mod line;
pub mod machine;
pub mod mailbox;
pub mod neighbours;
pub mod own_update;
mod planning;
pub mod problem;
pub mod protocol;
pub mod repair;
pub mod supervisor;
mod update;
