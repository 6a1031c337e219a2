//! Builds on request: an app comes as an archive or as a commit, and a package comes of it, unsigned.
//! Only a server with a store has them.
//!
//! In: requests with a token of the role `build`; the settings of the server. Out: jobs in the
//! store, their logs, packages for somebody with the key. Never: a key in a build; a build outside of
//! its sandbox, unless the operator wants that; a build of a request that nobody with a token made.
//!
//! ```text
//! routes    requests and answers         upload    bodies -> fields and a file
//! order     what is to be built (pure)   answers   jobs -> JSON (pure)
//! events    a build's log as it grows    log       the log's file
//! folder    the files of builds          service   what runs while the server does
//! worker    one build after the other    source    where the app comes from
//! command   the arguments of `kuzflow build` (pure)
//! sandbox   what a build sees (pure)     watch     a program within its limits
//! failure   why nothing was built
//! ```

mod answers;
mod command;
mod events;
mod failure;
mod folder;
mod log;
mod order;
mod routes;
mod sandbox;
mod service;
mod source;
mod upload;
mod watch;
mod worker;

pub(super) use answers::BuildAnswer;
pub(super) use events::listen;
pub(super) use routes::{BUILD, cancel, create, list, package, show};
pub(super) use service::Builds;
pub(crate) use service::usual_folder;
