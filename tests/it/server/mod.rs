//! The repository over HTTP: `kuzflow serve` and nginx with `packaging/nginx/kuzflow.conf` pass the
//! same table of cases. Further tests are only for the server: the API, limits, slow readers, an
//! orderly end (docs/security.md, faults 6, 16, 27).

mod api;
pub mod client;
mod conformance;
mod events;
mod faults;
mod incremental;
mod release;
mod repository;
pub mod running;
