//! The server's socket: connections with time limits, and an orderly shutdown.
//!
//! `axum::serve` sets no time limit on headers, idle connections and slow readers. Therefore this
//! loop runs hyper's connections itself.

use crate::error_chain;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service as _;

use super::builds::Builds;
use super::error::ServerError;
use super::fleet::Fleet;
use super::idle_timeout::WithIdleTimeout;
use super::options::{BuildOptions, FleetOptions, ServerLimits, ServerOptions};
use super::places::{Busy, ConnectionPlace, Places};
use super::state::ServerState;
use super::{conductor, events, health, node_checks, open_files, router};
use crate::fleet::Place;

/// Serves the repository on `listener` until `shutdown` is ready. Then it accepts no more
/// connections, and running answers have [`ServerLimits::grace`] to end.
pub async fn serve(
    options: ServerOptions,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServerError> {
    let fleet = match &options.fleet {
        Some(fleet) => Some(Fleet::open(fleet).await?),
        None => None,
    };
    let builds = match (&fleet, &options.builds) {
        (Some(fleet), Some(builds)) => Some(start_builds(fleet, builds, &options).await?),
        _ => None,
    };
    let shared = ServerState::open(&options, fleet, builds)?;
    open_files::make_room(&options.limits);
    let address = listener.local_addr().map_err(ServerError::Listen)?;
    let catalogue = shared.repository.catalogue().await;
    tracing::info!(%address, node = options.node, releases = catalogue.releases.len(), "serving the repository");
    let checks = match options.health_interval {
        Some(interval) => Some(tokio::spawn(node_checks::keep_checking(
            shared.clone(),
            interval,
            node_checks::client()?,
        ))),
        None => None,
    };
    let looking = tokio::spawn(events::keep_looking(shared.clone()));
    let reminding = tokio::spawn(health::keep_reminding(shared.clone()));
    let conducting = tokio::spawn(conductor::keep_conducting(shared.clone()));
    connections(&shared, listener, shutdown).await;
    if shared.builds.is_some() {
        let shared = shared.clone();
        // It waits for the programs of builds to end.
        let ended = tokio::task::spawn_blocking(move || shared.builds.as_ref().map(Builds::end));
        let _ = ended.await;
    }
    looking.abort();
    reminding.abort();
    conducting.abort();
    if let Some(checks) = checks {
        checks.abort();
    }
    Ok(())
}

/// Starts the workers. A folder has one server: what the last one held is free.
async fn start_builds(
    fleet: &Fleet,
    builds: &BuildOptions,
    options: &ServerOptions,
) -> Result<Builds, ServerError> {
    if matches!(&options.fleet, Some(FleetOptions { place: Place::Folder(_), .. })) {
        fleet.store.free_jobs().await?;
    }
    let (builds, store) = (builds.clone(), fleet.store.clone());
    let handle = tokio::runtime::Handle::current();
    let started = tokio::task::spawn_blocking(move || Builds::start(&builds, &store, &handle));
    started.await.map_err(|panic| ServerError::Workers(std::io::Error::other(panic)))?
}

async fn connections(
    shared: &ServerState,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (app, limits) = (router(shared), &shared.limits);
    let room = Arc::new(Semaphore::new(
        limits.connections.saturating_add(limits.listeners).min(Semaphore::MAX_PERMITS),
    ));
    let stopping = shared.ending.subscribe();
    let places = Places::new(shared.options.connections_of_one_address());
    let mut running = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = running.join_next() => {}
            (stream, remote, room) = accept(&listener, &room) => match places.take(remote.ip().into()) {
                Some(place) => {
                    let held = Held { _room: room, place };
                    running.spawn(connection(app.clone(), limits.clone(), stream, remote, held, stopping.clone()));
                }
                None => tracing::debug!("an address holds all the connections it may; one more is turned away"),
            }
        }
    }
    drop(listener);
    shared.ending.send_replace(true);
    let all_ended = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, all_ended).await.is_err() {
        tracing::warn!(
            connections = running.len(),
            "answers were still running when the grace ended; they are cut"
        );
    }
}

/// Accepts the next connection, once there is room for it. A failure (no file descriptor left, a
/// client that has left already) may pass: the server logs it and tries again.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    let place = room.clone().acquire_owned().await.ok(); // an error means a closed semaphore; this one never is
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => return (stream, remote, place),
            Err(error) => {
                tracing::warn!(error = error_chain::line(&error), "cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The resources that a connection holds while it lasts.
struct Held {
    _room: Option<OwnedSemaphorePermit>,
    place: ConnectionPlace,
}

async fn connection(
    app: Router,
    limits: ServerLimits,
    stream: TcpStream,
    remote: SocketAddr,
    held: Held,
    mut stopping: watch::Receiver<bool>,
) {
    _ = stream.set_nodelay(true); // a matter of speed only
    let stream = WithIdleTimeout::new(stream, limits.stall_time, limits.stall_bytes);
    let place = &held.place;
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        answer(app.clone(), remote, place.busy(), request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let stop = async move { stopping.wait_for(|stop| *stop).await.is_ok() };
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        // It is safe to drop the connection here: no request is being answered.
        () = held.place.must_leave() => return,
        _ = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%remote, error = error_chain::line(&error), "a connection broke");
    }
}

async fn answer(
    mut app: Router,
    remote: SocketAddr,
    busy: Busy,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(remote));
    let response = app.call(request).await?;
    Ok(response.map(|body| Body::new(Answering { body, _busy: busy })))
}

/// A body whose connection counts as busy until the last byte is sent.
struct Answering {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
