//! The routes of `/api/containers/…`, with the field names of the specification.
//!
//! The same question always gets the same answer. Each launcher decides by itself whether a rollout
//! has reached it, from the signed metadata and its own installation id; this server never learns
//! that id.

use std::io::Read as _;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_TYPE,
    HeaderName, HeaderValue, VARY,
};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use super::repository::Catalogue;
use super::state::ServerState;
use super::{files, node_book};
use crate::model::audience::next_watershed;
use crate::model::platform::AppName;
use crate::model::release::SignedRelease;
use crate::model::{ContainerId, Node, Platform, Version};

/// Longest release notes that the server sends, bytes.
const MAX_NOTES_BYTES: u64 = 256 << 10;

/// The parameters of `check_update` and `changelog`. They are text, so that each mistake gets its
/// own message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UpdateQuery {
    current_version: Option<String>,
    platform: Option<String>,
    user_location: Option<String>,
    app: Option<String>,
    channel: Option<String>,
    lang: Option<String>,
}

/// An answer to `check_update`. The specification's fields, then ours.
#[derive(Debug, Serialize)]
struct Update {
    update_available: bool,
    version: Version,
    /// `null` for a first install.
    current_version: Option<Version>,
    /// Bytes.
    container_size: u64,
    container_id: ContainerId,
    download_nodes: Vec<DownloadNode>,
    /// Seconds at the best node's published bandwidth; `null` if no bandwidth is known.
    estimated_time: Option<u64>,
    changelog_url: String,
    /// Markdown; empty if there are none.
    release_notes: String,
    /// Where the package lies on each node, relative to its url.
    location: String,
    /// As signed; a hint here.
    mandatory: bool,
    /// As signed; a hint here.
    rollout_permille: u16,
}

#[derive(Debug, Serialize)]
struct DownloadNode {
    id: String,
    name: String,
    region: String,
    url: url::Url,
    /// Mbit/s.
    bandwidth: Option<f64>,
}

/// `GET
/// /api/containers/check_update?current_version=&platform=&user_location=&app=&channel=&lang=`.
/// Only `platform` is required, and `app` if the repository has several.
pub(super) async fn check_update(
    State(shared): State<ServerState>,
    question: Result<Query<UpdateQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Query(question) = question.map_err(|error| Refusal::bad(error.body_text()))?;
    let current: Option<Version> = parsed("current_version", question.current_version.as_deref())?;
    let platform: Platform = parsed("platform", question.platform.as_deref())?
        .ok_or_else(|| Refusal::bad("platform: missing, expected for example Linux_x86_64"))?;
    let catalogue = shared.repository.catalogue().await;
    let releases: Vec<&SignedRelease> = of_app_and_channel(&catalogue, &question)?
        .filter(|signed| signed.release.container.platform == platform)
        .collect();
    let all = releases.iter().map(|signed| &signed.release);
    let watershed = next_watershed(all, current.as_ref());
    let newest = releases
        .iter()
        .filter(|signed| {
            let version = &signed.release.container.version;
            signed.release.open_to(current.as_ref())
                && watershed.is_none_or(|watershed| version <= watershed)
        })
        .max_by(|a, b| a.release.container.version.cmp(&b.release.container.version));
    let newer = newest.filter(|signed| {
        current.as_ref().is_none_or(|current| signed.release.container.version > *current)
    });
    let Some(signed) = newer else {
        return Ok(answer(&serde_json::json!({ "update_available": false })));
    };
    let offered =
        offered_nodes(&shared, &catalogue, question.user_location.as_deref().unwrap_or_default());
    let release = &signed.release;
    let notes = release.notes_in(&wanted_languages(&question, &headers));
    let release_notes = match notes {
        Some((_, target)) => read_notes(&shared, &catalogue, target).await.unwrap_or_default(),
        None => String::new(),
    };
    Ok(answer(&Update {
        update_available: true,
        version: release.container.version.clone(),
        current_version: current,
        container_size: signed.length,
        container_id: release.container.clone(),
        estimated_time: time_from(&offered, signed.length),
        download_nodes: offered.iter().map(|node| download_node(node, bandwidth(node))).collect(),
        changelog_url: changelog_url(signed),
        release_notes,
        location: signed.location(),
        mandatory: release.mandatory,
        rollout_permille: release.rollout_permille,
    }))
}

/// `GET /api/containers/download/{container_id}`: the package, with ranges, under a readable file
/// name.
pub(super) async fn download(
    State(shared): State<ServerState>,
    id: Result<Path<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id: ContainerId =
        id.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(Refusal::not_found)?;
    let catalogue = shared.repository.catalogue().await;
    let signed = catalogue
        .releases
        .iter()
        .find(|signed| signed.release.container == id)
        .ok_or_else(Refusal::not_found)?;
    let mut response =
        files::send_target(shared.repository.root(), &signed.location(), &method, &headers).await?;
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{id}.kuzflow\""));
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, disposition.map_err(|error| Refusal::internal(&error))?);
    // Unlike the target's own address, this one can later name other bytes (a release withdrawn and
    // published again).
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `GET /api/containers/changelog/{version}?app=&platform=&channel=&lang=`: Markdown in the best
/// available language.
pub(super) async fn changelog(
    State(shared): State<ServerState>,
    version: Result<Path<String>, PathRejection>,
    question: Result<Query<UpdateQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let version: Version = version
        .ok()
        .and_then(|Path(version)| version.parse().ok())
        .ok_or_else(Refusal::not_found)?;
    let Query(question) = question.map_err(|error| Refusal::bad(error.body_text()))?;
    let platform: Option<Platform> = parsed("platform", question.platform.as_deref())?;
    let catalogue = shared.repository.catalogue().await;
    let mut releases = of_app_and_channel(&catalogue, &question)?.filter(|signed| {
        let container = &signed.release.container;
        container.version == version
            && platform.as_ref().is_none_or(|platform| container.platform == *platform)
    });
    let wanted = wanted_languages(&question, &headers);
    let (language, target) = releases
        .find_map(|signed| signed.release.notes_in(&wanted))
        .ok_or_else(Refusal::not_found)?;
    let text = read_notes(&shared, &catalogue, target).await?;
    let mut response =
        (headers_of(&[(CONTENT_TYPE, "text/markdown; charset=utf-8")]), text).into_response();
    if let Some(language) =
        HeaderValue::from_str(language).ok().filter(|language| !language.is_empty())
    {
        response.headers_mut().insert(CONTENT_LANGUAGE, language);
    }
    Ok(response)
}

/// The apps with at least one published release.
pub(super) fn apps(catalogue: &Catalogue) -> Vec<&AppName> {
    let mut apps: Vec<&AppName> =
        catalogue.releases.iter().map(|signed| &signed.release.container.app).collect();
    apps.sort_unstable();
    apps.dedup();
    apps
}

/// The releases of the named app and channel; of the only app if none is named.
fn of_app_and_channel<'a>(
    catalogue: &'a Catalogue,
    question: &'a UpdateQuery,
) -> Result<impl Iterator<Item = &'a SignedRelease>, Refusal> {
    let named: Option<AppName> = parsed("app", question.app.as_deref())?;
    let apps = apps(catalogue);
    let app = match (named, apps.as_slice()) {
        (Some(app), _) => Some(app),
        (None, []) => None,
        (None, [only]) => Some((*only).clone()),
        (None, _) => return Err(Refusal::bad("app: missing, and the repository has several")),
    };
    let channel = question.channel.as_deref().unwrap_or("stable");
    Ok(catalogue.releases.iter().filter(move |signed| {
        let release = &signed.release;
        Some(&release.container.app) == app.as_ref() && release.channel == channel
    }))
}

/// A parameter's value; an empty one counts as absent.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, Refusal> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|error| Refusal::bad(format!("{name}: {error}"))))
        .transpose()
}

fn offered_nodes(shared: &ServerState, catalogue: &Catalogue, location: &str) -> Vec<Node> {
    let options = &shared.options;
    match &options.public_url {
        Some(url) if catalogue.nodes.is_empty() => {
            let (id, name) = (options.node.clone(), options.node.clone());
            vec![Node { id, name, region: options.region.clone(), ..Node::at(url.clone()) }]
        }
        _ => shared.nodes.offer(&catalogue.nodes, node_book::region_of(location)),
    }
}

fn download_node(node: &Node, bandwidth: Option<f64>) -> DownloadNode {
    let name = node.label().to_owned();
    DownloadNode {
        id: node.id.clone(),
        name,
        region: node.region.clone(),
        url: node.url.clone(),
        bandwidth,
    }
}

/// Mbit/s of a node, if known.
fn bandwidth(node: &Node) -> Option<f64> {
    node.metrics.bandwidth_mbps.or(node.bandwidth)
}

/// Seconds for `bytes` at the best node for a user in the region; `None` if its bandwidth is not
/// known.
pub(super) fn estimated_time(
    shared: &ServerState,
    catalogue: &Catalogue,
    location: &str,
    bytes: u64,
) -> Option<u64> {
    time_from(&offered_nodes(shared, catalogue, location), bytes)
}

fn time_from(offered: &[Node], bytes: u64) -> Option<u64> {
    offered.first().and_then(bandwidth).and_then(|mbps| seconds(bytes, mbps))
}

/// Whole seconds for `bytes` at `mbps` Mbit/s, at least one.
fn seconds(bytes: u64, mbps: f64) -> Option<u64> {
    let seconds = bytes as f64 * 8.0 / (mbps * 1e6);
    (mbps > 0.0 && seconds.is_finite()).then(|| (seconds.ceil() as u64).max(1))
}

fn changelog_url(signed: &SignedRelease) -> String {
    let (container, channel) = (&signed.release.container, &signed.release.channel);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("app", container.app.as_str())
        .append_pair("platform", &container.platform.to_string())
        .append_pair("channel", channel)
        .finish();
    format!("/api/containers/changelog/{}?{query}", container.version)
}

/// Language tags in order of preference: the parameter, otherwise `Accept-Language` by its weights.
fn wanted_languages(question: &UpdateQuery, headers: &HeaderMap) -> Vec<String> {
    if let Some(language) = question.lang.as_deref().filter(|language| !language.is_empty()) {
        return vec![language.to_owned()];
    }
    accepted_languages(headers)
}

/// The language tags of `Accept-Language`, the most wanted one first.
pub(super) fn accepted_languages(headers: &HeaderMap) -> Vec<String> {
    let header =
        headers.get(ACCEPT_LANGUAGE).and_then(|header| header.to_str().ok()).unwrap_or_default();
    let mut weighted: Vec<(f32, &str)> = header
        .split(',')
        .map(|part| {
            let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
            (weight.trim().parse().unwrap_or(0.0), tag.trim())
        })
        .filter(|(weight, tag)| *weight > 0.0 && !tag.is_empty())
        .collect();
    weighted.sort_by(|a, b| b.0.total_cmp(&a.0));
    weighted.into_iter().map(|(_, tag)| tag.to_owned()).collect()
}

/// The text of the notes in `target`.
async fn read_notes(
    shared: &ServerState,
    catalogue: &Arc<Catalogue>,
    target: &str,
) -> Result<String, Refusal> {
    let (location, _) = catalogue.target(target).ok_or_else(Refusal::not_found)?;
    let path = shared.repository.root().join(location);
    files::on_disk(path, |path| {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_NOTES_BYTES).read_to_string(&mut text)?;
        Ok(text)
    })
    .await
}

pub(super) fn answer(body: &impl Serialize) -> Response {
    (headers_of(&[]), Json(body)).into_response()
}

/// Headers of an answer that depends on what is published and on the language.
fn headers_of(more: &[(HeaderName, &'static str)]) -> HeaderMap {
    let fields = [(CACHE_CONTROL, "no-cache"), (VARY, "accept-language")];
    fields
        .iter()
        .chain(more)
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_in_order_of_wish() {
        let wanted = |header: &'static str| {
            let headers =
                HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(header))]);
            wanted_languages(&UpdateQuery::default(), &headers)
        };
        assert_eq!(wanted("en;q=0.5, zh-CN, zh;q=0.9, fr;q=0"), ["zh-CN", "zh", "en"]);
        assert!(wanted("").is_empty());
        assert!(wanted(";q=,;;q=x").is_empty());
    }

    #[test]
    fn times() {
        assert_eq!(seconds(100_000_000, 80.0), Some(10));
        assert_eq!(seconds(1, 1000.0), Some(1));
        assert_eq!(seconds(1, 0.0), None);
        assert_eq!(seconds(1, f64::NAN), None);
    }
}
