//! A small span of an object (a package's manifest, up to some MB) from the first node that gives acceptable bytes. The best
//! node is asked first; each time the answer is late, or is no good, the next one is asked too.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use super::client::{Client, http, read_behind, read_exactly};
use super::{FetchError, response};
use crate::causes;
use crate::model::Node;
use crate::model::transfer::FaultKind;

/// How long a node may be silent about a small span before the next one is asked too: above the round trip of a far node with
/// a lost packet, below what a person notices as a pause.
const HEDGE: Duration = Duration::from_millis(900);
/// How long a span may take as a whole.
const SPAN_TIME: Duration = Duration::from_secs(60);
/// How long a node may be silent that sends a whole object for the sake of a span.
const SILENCE: Duration = Duration::from_secs(15);

/// The bytes of `span` of the object at `location` (relative, as [`Node::address`] takes it), which must have `object_length`
/// bytes. `accept` decides, usually by a hash; a node whose bytes it refuses is passed over.
pub async fn fetch_span(
    client: &Client,
    nodes: &[Node],
    location: &str,
    object_length: u64,
    span: Range<u64>,
    accept: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Bytes, FetchError> {
    if span.is_empty() {
        return Ok(Bytes::new());
    }
    let mut waiting = nodes.iter();
    let mut asked = FuturesUnordered::new();
    let mut reasons = Vec::new();
    let (mut unreachable, mut whole) = (true, false);
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due
            && let Some(node) = waiting.next()
        {
            asked.push(ask(client, node, location, object_length, &span));
            due = Instant::now() + HEDGE;
        }
        if asked.is_empty() && waiting.len() == 0 {
            break;
        }
        tokio::select! {
            Some((node, answer)) = asked.next() => {
                match answer {
                    Ok(bytes) if accept(&bytes) => return Ok(bytes),
                    Ok(_) => {
                        unreachable = false;
                        reasons.push(format!("{}: its bytes are not the signed ones", node.id));
                    }
                    Err(error) => {
                        unreachable &= error.is_unreachable();
                        whole |= matches!(error, FetchError::Whole { .. });
                        reasons.push(format!("{}: {}", node.id, causes::line(&error)));
                    }
                }
                due = Instant::now();
            }
            () = tokio::time::sleep_until(due), if waiting.len() > 0 => {}
        }
    }
    if nodes.is_empty() {
        return Err(FetchError::NoNodes { location: location.to_owned() });
    }
    Err(FetchError::NoneAcceptable { location: location.to_owned(), reasons, unreachable, whole })
}

/// The same from nodes that send whole objects only, as the simplest static hosts do: what lies before the span comes as well, and is
/// thrown away as it comes. For a span without which nothing goes on, when [`fetch_span`] has failed; the nodes are asked one after
/// another.
///
/// # Errors
/// As [`fetch_span`].
pub async fn fetch_span_of_whole(
    client: &Client,
    nodes: &[Node],
    location: &str,
    object_length: u64,
    span: Range<u64>,
    accept: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Bytes, FetchError> {
    let mut reasons = Vec::new();
    for node in nodes {
        let answer = async {
            let address = |source| FetchError::Address { node: node.id.clone(), location: location.to_owned(), source };
            let url = node.address(location).map_err(address)?;
            let late = |_| FetchError::TimedOut { url: url.clone(), seconds: SILENCE.as_secs() };
            let answer = tokio::time::timeout(SILENCE, client.ask(&url, &span, false)).await.map_err(late)?;
            let answer = answer.map_err(|source| http(&url, source))?;
            let skip = response::judge(answer.status(), answer.headers(), answer.content_length(), &span, object_length, true)
                .map_err(|unfit| FetchError::WrongAnswer { url: url.clone(), reason: unfit.detail })?;
            read_behind(answer, &url, skip, span.end - span.start, SILENCE).await
        };
        match answer.await {
            Ok(bytes) if accept(&bytes) => return Ok(bytes),
            Ok(_) => reasons.push(format!("{}: its bytes are not the signed ones", node.id)),
            Err(error) => reasons.push(format!("{}: {}", node.id, causes::line(&error))),
        }
    }
    Err(FetchError::NoneAcceptable { location: location.to_owned(), reasons, unreachable: false, whole: false })
}

async fn ask<'a>(
    client: &Client,
    node: &'a Node,
    location: &str,
    object_length: u64,
    span: &Range<u64>,
) -> (&'a Node, Result<Bytes, FetchError>) {
    let answer = async {
        let address = |source| FetchError::Address { node: node.id.clone(), location: location.to_owned(), source };
        let url = node.address(location).map_err(address)?;
        let request = async {
            let answer = client.ask(&url, span, false).await.map_err(|source| http(&url, source))?;
            let skip = response::judge(answer.status(), answer.headers(), answer.content_length(), span, object_length, false)
                .map_err(|unfit| match unfit.kind {
                    FaultKind::IgnoredRange if !unfit.lasting => FetchError::Whole { url: url.clone() },
                    _ => FetchError::WrongAnswer { url: url.clone(), reason: unfit.detail },
                })?;
            let bytes = read_exactly(answer, &url, skip + span.end - span.start).await?;
            Ok(bytes.slice(usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len())..))
        };
        let late = |_| FetchError::TimedOut { url: url.clone(), seconds: SPAN_TIME.as_secs() };
        tokio::time::timeout(SPAN_TIME, request).await.map_err(late)?
    };
    (node, answer.await)
}
