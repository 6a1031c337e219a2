//! Helpers that the tests of several subjects share: a publisher with launchers and nodes as
//! processes, made-up files, nodes and mirrors that misbehave, displays, pictures of windows, small
//! disks, waiting.

pub mod app_folder;
pub mod client;
pub mod contents;
pub mod display;
pub mod faulty_node;
pub mod processes;
pub mod program;
pub mod published;
pub mod release;
pub mod scenes;
pub mod slow_node;
pub mod small_disk;
pub mod waiting;
pub mod windows;
