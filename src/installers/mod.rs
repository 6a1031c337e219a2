//! Installers: the files that people download in order to get the app. Each brings the launcher
//! with its settings and its root, and shows the app in the menus of its system.
//!
//! In: a [`Product`] (what is said of the app), a [`Payload`] (the files to install). Out: the bytes
//! of one file; the same input gives the same bytes, on any computer. Never: signs metadata, changes
//! the repository, asks the network, the clock or the environment.
//!
//! ```text
//! product   what every installer says of the app      payload   the files in the folder of the app
//! icons     PNG or SVG -> every size                  format    the kinds of installers
//! write     a format -> the file that writes it       hashed    bytes on their way into a file
//! index     installers.json: what a folder holds
//! linux_tree, linux_texts    what .deb and .rpm have in common
//! finish    the launcher as it is shipped: named, signed, for all processors     signing   the publisher's commands
//! tools     programs for a terminal, which come without a launcher
//! tree, archive              files while an installer is made, and as a zip
//! deb, rpm (rpm_header), run (run_install.sh, run_uninstall.sh)    the formats
//! windows, mac               the formats of other systems
//! ```

mod archive;
mod deb;
mod error;
mod finish;
mod format;
mod hashed;
mod icons;
mod index;
mod linux_texts;
mod linux_tree;
mod mac;
mod payload;
mod product;
mod rpm;
mod rpm_header;
mod run;
mod signing;
mod tools;
mod tree;
mod windows;
mod write;

pub(crate) use error::InstallerFaults;
pub(crate) use finish::{finished_launcher, write_launcher};
pub(crate) use format::{Format, UNIVERSAL};
pub(crate) use hashed::Measured;
pub(crate) use index::{InstallerRecord, add_to_index, installers_in};
pub(crate) use payload::{Payload, PayloadSources};
pub(crate) use product::{Product, ProductSources};
pub(crate) use signing::Signers;
pub(crate) use tools::Tools;
pub(crate) use write::{write_file, write_tools};
