//! What all requests of a server share.
//!
//! In: options. Out: the repository, the caches and the listeners behind them. Never: an answer to a
//! request; the files of the routes give these.

use std::sync::Arc;

use axum::http::HeaderValue;
use tokio::sync::{Semaphore, watch};

use super::announcements::Events;
use super::builds::Builds;
use super::documents::Documents;
use super::error::ServerError;
use super::fleet::Fleet;
use super::node_book::NodeBook;
use super::options::{ServerLimits, ServerOptions};
use super::patches::{Service, TreeSlot};
use super::repository::Repository;
use super::traffic::Traffic;

/// How many questions of more than 64 KiB, up to 4 MiB each, the server reads at the same time.
const LARGE_QUESTIONS: usize = 8;

/// What all requests share.
#[derive(Clone)]
pub(super) struct ServerState(Arc<Parts>);

pub(super) struct Parts {
    pub(super) repository: Repository,
    pub(super) documents: Arc<Documents>,
    pub(super) nodes: NodeBook,
    pub(super) options: ServerOptions,
    pub(super) node_header: HeaderValue,
    pub(super) limits: ServerLimits,
    pub(super) patches: Option<Service>,
    /// The version tree of the last question.
    pub(super) tree: TreeSlot,
    pub(super) events: Events,
    /// Reports of launchers; `None` if the server takes none.
    pub(super) fleet: Option<Fleet>,
    /// Builds on request; `None` if there are none.
    pub(super) builds: Option<Builds>,
    /// What was answered.
    pub(super) traffic: Arc<Traffic>,
    /// True once the server was asked to stop.
    pub(super) ending: watch::Sender<bool>,
    /// Limits how many large questions are read at the same time.
    pub(super) large_questions: Semaphore,
}

impl std::ops::Deref for ServerState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl ServerState {
    pub(super) fn open(
        options: &ServerOptions,
        fleet: Option<Fleet>,
        builds: Option<Builds>,
    ) -> Result<Self, ServerError> {
        let node_header = HeaderValue::from_bytes(options.node.as_bytes())
            .map_err(|_| ServerError::NodeName(options.node.clone()))?;
        Ok(Self(Arc::new(Parts {
            repository: Repository::open(options.repository.clone(), options.limits.look_interval)?,
            documents: Arc::default(),
            nodes: NodeBook::default(),
            options: options.clone(),
            node_header,
            limits: options.limits.clone(),
            patches: options.making.as_ref().map(Service::start).transpose()?,
            tree: TreeSlot::default(),
            events: Events::new(options.limits.listeners),
            fleet,
            builds,
            traffic: Arc::default(),
            ending: watch::Sender::new(false),
            large_questions: Semaphore::new(LARGE_QUESTIONS),
        })))
    }
}
