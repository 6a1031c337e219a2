//! The HTTP/1.1 server of a repository: its files, and questions of launchers about them.
//!
//! In: a repository's folder and requests. Out: files with ranges, JSON, Markdown. Never: decides
//! what may be installed (a launcher decides that from signed metadata alone; everything here is a
//! hint); signs or writes to the repository in a request, but for an operator's word about a rollout.
//! If the server makes patch packs, the publisher's room makes them, in the background.
//!
//! ```text
//! GET /metadata/{name}  /targets/{name}  /nodes.json        the repository, as any static host serves it (packaging/nginx)
//! GET /api/containers/check_update                          newest release, nodes close to the user
//! GET /api/containers/download/{container_id}               the package under its container's id
//! GET /api/containers/changelog/{version}                   release notes in Markdown
//! POST /api/incremental/analyze                             the cheapest packs from one release to another
//! GET /api/incremental/patch/{id}                           a pack, or the status of its patch job
//! GET /api/events                                           notifies of changed releases
//! POST /api/reports                                         reports of launchers (only with a place for them, as the next three)
//! GET /api/statistics  /metrics                             the numbers that follow from them
//! GET /fleet  /fleet/style.css  POST /fleet/login  /logout  the same as a page for operators
//! POST /fleet/rollout                        a button of that page
//! POST /api/containers/build                                builds an app that is sent (only with a place for reports, as the next three)
//! GET DELETE /api/containers/build/{id}                     what became of it; ends it
//! GET …/build/{id}/events  …/build/{id}/package             its log as it grows; the unsigned package
//! GET /api/containers/builds                                the newest builds
//! GET /api/rollouts  POST /api/rollouts/{app}/{version}/{move}  rollouts with a plan (only if the server steers them)
//! GET /healthz                                              this node, its releases, and their expiry; 503 after the expiry
//! ```
//!
//! TLS and HTTP/2 are a reverse proxy's work.
//!
//! ```text
//! serve, places, idle_timeout, open_files    connections, and what one client may hold
//! access, refusal                            what surrounds each request
//! files, ranges, compressed, documents       the repository's files
//! updates, page, html, health                questions of launchers, people and operators
//! events, announcements                      listeners, and what they are notified of
//! node_book, node_checks                     which nodes are offered, and their checks
//! reports, fleet, measures, traffic          reports of launchers, and the numbers of them and of this server
//! admission, read_token, proxy_login,        who may see and do what
//! own_site, operators                        whether a change came from the operators' page; the page
//! builds                                     packages of apps that are sent
//! steering, conductor, rollouts              moves rollouts within their signed plans
//! patches                                    packs, and packs on request
//! state, repository                          what all requests share
//! ```
//!
//! Measured (2026-11-22, 2 cores under other load, release build, loopback, six runs each in turn):
//! 1 GiB from the page cache by `curl -so /dev/null URL` takes 0.60 to 1.29 s, nginx with one
//! worker and sendfile 1.18 to 1.40 s; the server's CPU time is 0.43 to 1.15 s a GiB, nginx's 0.09
//! to 0.33 s (bytes pass through user space here). Resident memory 7 MB. `ab -k -n 30000 -c 32`:
//! 14,000 update checks a second with release notes, 24,000 `timestamp.json`, 66,000 `/healthz`,
//! the access log included.

mod access;
mod admission;
mod announcements;
mod builds;
mod compressed;
mod conductor;
mod documents;
mod error;
mod events;
pub mod fault_injection;
mod files;
mod fleet;
mod health;
mod html;
mod idle_timeout;
mod measures;
mod node_book;
mod node_checks;
mod open_files;
mod operators;
mod options;
mod own_site;
mod page;
mod patches;
mod places;
mod proxy_login;
mod ranges;
mod read_token;
mod refusal;
mod reports;
mod repository;
mod rollouts;
mod serve;
mod state;
mod steering;
mod traffic;
mod updates;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use refusal::Refusal;
use state::ServerState;

pub(crate) use builds::usual_folder;
pub use error::ServerError;
pub(crate) use options::{BuildOptions, FleetOptions};
pub use options::{ServerLimits, ServerOptions};
pub(crate) use patches::ProjectMaker;
pub use patches::{JobOutcome, Maker, Making};
pub use serve::serve;
pub(crate) use steering::Steering;

/// The server's routes, without a socket, without checks of other nodes, and without regular looks
/// at the repository (events need those). Reads the repository once, so that a wrong folder is
/// reported before the first request.
pub fn app(options: &ServerOptions) -> Result<Router, ServerError> {
    Ok(router(&ServerState::open(options, None, None)?))
}

/// The routes of rollouts.
fn rollout_routes() -> Router<ServerState> {
    Router::new()
        .route("/api/rollouts", get(rollouts::list))
        .route("/api/rollouts/{app}/{version}/{move}", post(rollouts::steer))
}

/// The routes of builds.
fn build_routes() -> Router<ServerState> {
    // An upload has limits of its own.
    let create = post(builds::create).layer(DefaultBodyLimit::disable());
    Router::new()
        .route(builds::BUILD, create)
        .route("/api/containers/build/{id}", get(builds::show).delete(builds::cancel))
        .route("/api/containers/build/{id}/events", get(builds::listen))
        .route("/api/containers/build/{id}/package", get(builds::package))
        .route("/api/containers/builds", get(builds::list))
}

/// All routes, within the limits on each request.
fn router(state: &ServerState) -> Router {
    let routes = Router::new()
        .route("/", get(page::front))
        .route("/metadata/{name}", get(files::metadata))
        .route("/targets/{name}", get(files::target))
        .route("/nodes.json", get(files::nodes))
        .route("/api/containers/check_update", get(updates::check_update))
        .route("/api/containers/download/{container_id}", get(updates::download))
        .route("/api/containers/changelog/{version}", get(updates::changelog))
        .route("/api/incremental/analyze", post(patches::api::analyze))
        .route("/api/incremental/patch/{id}", get(patches::delivery::patch))
        .route("/api/events", get(events::listen))
        .route("/healthz", get(health::healthz));
    let routes = if state.fleet.is_some() {
        routes
            .route("/api/reports", post(reports::take_reports))
            .route("/api/statistics", get(reports::statistics))
            .route("/metrics", get(reports::metrics))
            .route("/fleet", get(operators::show))
            .route("/fleet/login", post(operators::log_in))
            .route("/fleet/logout", post(operators::log_out))
            .route("/fleet/rollout", post(operators::move_rollout))
            .route("/fleet/style.css", get(operators::style))
    } else {
        routes
    };
    let routes = if state.builds.is_some() { routes.merge(build_routes()) } else { routes };
    let steers = state.fleet.is_some() && state.options.steering.is_some();
    let routes = if steers { routes.merge(rollout_routes()) } else { routes };
    routes
        .fallback(async || Refusal::not_found())
        .method_not_allowed_fallback(async || {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this address does not take this method",
            )
        })
        .layer(CatchPanicLayer::custom(|_| {
            Refusal::internal(&std::io::Error::other("a panic")).into_response()
        }))
        .layer(axum::middleware::from_fn_with_state(state.clone(), access::around))
        .with_state(state.clone())
}
