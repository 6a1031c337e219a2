//! The items of the rooms that integration tests, examples and fuzz targets can reach, room by
//! room. Everything that is not named here stays private to the library, where the compiler finds
//! unused code.
//!
//! In: the rooms. Out: their names for `tests/`, `examples/`, `fuzz/`. Never: contains code, is
//! imported by a room, promises that a name stays (the library is not published).

pub mod messages {
    pub use crate::messages::{mailbox, protocol};
}

/// Values: the tests use all of the room's types.
pub mod model {
    pub use crate::model::*;
}

/// The command lines, which a test compares with the reference.
pub mod cli {
    pub use crate::cli::launcher::Arguments as LauncherArguments;
    pub use crate::cli::publisher::Arguments as PublisherArguments;
}

pub mod container {
    pub use crate::container::{
        ContainerError, Fault, Unpacker, read_document, read_index, unpack_package, verify_tree,
    };
}

pub mod error_chain {
    pub use crate::error_chain::line;
}

pub mod fetch {
    pub use crate::fetch::{
        Client, ClientOptions, Control, DownloadJob, FetchError, FetchEvent, NodeMemory, Partial,
        PeerSource, Progress, RunState, Span, Summary, download, download_among, fetch_span,
    };
}

pub mod gui {
    pub use crate::gui::rasteriser::{Canvas, Rasteriser};
    pub use crate::gui::{
        Appearance, CloseReason, Dialog, DialogOptions, Language, Notification, NotificationEnd,
        NotificationOptions, Picked, Texts, ViewState, WindowOptions, catch_up, notify,
        notify_by_system, open, theme,
    };
}

pub mod host {
    pub use crate::host::now;
}

pub mod pack {
    pub use crate::pack::{
        Algorithm, Applied, ApplyOptions, Bases, Choice, Content, Failed, Made, MakeOptions, Pack,
        PackError, Tree, apply, make,
    };
}

pub mod peers {
    pub use crate::peers::{Library, PeerNetwork, PeerOptions, Volume};
}

pub mod publish {
    pub use crate::publish::{
        InitOptions, KeyRole, Keyring, Lifetimes, MetadataForm, PackToPublish, PackageToPublish,
        Project, ProjectSettings, PublishError, RenewalOptions, Retirement, RolloutChange,
        Rotation, Selection, Standing, Terms, Transaction, bundle, bundling, keys, package,
        release_trees,
    };
}

pub mod schedule {
    pub use crate::schedule::{push, schedule, watch};
}

pub mod server {
    pub use crate::server::{
        JobOutcome, Maker, Making, ServerError, ServerLimits, ServerOptions, app, fault_injection,
        serve,
    };
}

pub mod settings {
    pub use crate::settings::{Renderer, Settings, Theme};
}

pub mod trust {
    pub use crate::trust::{
        Bundle, Freshness, Judged, MetadataSource, MirrorFaultKind, Refreshed, Repository,
        SourceError, Trust, TrustError,
    };
}
