//! Fetches a small span of an object (a package's manifest, up to some MB) from the first node that
//! gives acceptable bytes. It asks the best node first. Each time an answer is late or
//! unacceptable, it asks the next node too.
//!
//! Silence and a minimum rate bound the time; there is no limit on the whole. The request waits for
//! a slow connection that goes on, and ends one that drips.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::{Instant, timeout};
use url::Url;

use super::client::{Client, http};
use super::{FetchError, response};
use crate::error_chain;
use crate::model::Node;
use crate::model::node::redacted;
use crate::model::transfer::{FaultKind, NodeFault};

/// How long a node may be silent about a small span before the next one is asked too. This is above
/// the round trip of a distant node with a lost packet, and below what a person notices as a pause.
const HEDGE: Duration = Duration::from_millis(900);
/// A node that will be done within this time, seconds, gets no help; nor does one that sends a
/// whole object at this rate, bytes a second.
const SOON: f64 = 5.0;
const FAIR_RATE: f64 = 16_384.0;
/// A node below this rate, bytes a second, counts as silent. Above it, requests to other nodes take
/// bandwidth from it. So each further node is asked later than the one before, and so many at most
/// are at work.
const DRIP: f64 = 64.0;
const MAX_AT_WORK: usize = 3;
/// How long a node may be silent before its answer and within it.
const SILENCE: Duration = Duration::from_secs(15);
/// Minimum progress in this time: so many bytes, or such a share of what is missing.
const MIN_TIME: Duration = Duration::from_secs(60);
const MIN_BYTES: u64 = 8 << 10;
const MIN_SHARE: u64 = 40;
/// A broken request goes on where it broke, if it has brought so many bytes, and so often at most.
const FRUITFUL: u64 = 4 << 10;
const RESUMED: u32 = 200;

/// A request for a span of an object.
pub struct Span<'a> {
    /// Location of the object: relative, as [`Node::address`] takes it.
    pub location: &'a str,
    /// Bytes of the object.
    pub object_length: u64,
    /// The wanted bytes.
    pub span: Range<u64>,
    /// Decides whether the bytes are acceptable, usually by a hash. A node whose bytes it refuses
    /// is passed over.
    pub accept: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Whether nodes may send the whole object, as the simplest static hosts do. The client then
    /// receives what lies before the span too, and throws it away. Use it for a span that is
    /// indispensable.
    pub whole: bool,
    /// How long a node may be silent.
    pub silence: Duration,
    /// Called for each node that fails.
    pub faults: &'a (dyn Fn(NodeFault) + Sync),
}

impl<'a> Span<'a> {
    /// A span with the usual limits, from nodes that can send ranges.
    pub fn new(
        location: &'a str,
        object_length: u64,
        span: Range<u64>,
        accept: &'a (dyn Fn(&[u8]) -> bool + Sync),
    ) -> Self {
        Self {
            location,
            object_length,
            span,
            accept,
            whole: false,
            silence: SILENCE,
            faults: &|_| (),
        }
    }
}

/// A node that was asked, and its progress.
struct AskedNode {
    /// Bytes that have come, and bytes still missing at most.
    came: AtomicU64,
    left: AtomicU64,
}

/// The same node as the race between nodes sees it.
struct Runner {
    asked: Arc<AskedNode>,
    seen: (Instant, u64),
    rate: f64,
}

impl Runner {
    fn look(&mut self, now: Instant) {
        let seconds = now.duration_since(self.seen.0).as_secs_f64();
        if seconds < HEDGE.as_secs_f64() / 2.0 {
            return;
        }
        let came = self.asked.came.load(Ordering::Relaxed);
        self.rate = (came - self.seen.1) as f64 / seconds;
        self.seen = (now, came);
    }

    fn will_do(&self, whole: bool) -> bool {
        self.asked.left.load(Ordering::Relaxed) as f64 <= self.rate * SOON
            || (whole && self.rate >= FAIR_RATE)
    }
}

/// Fetches the bytes of a span from the first of `nodes` (the best one first) that gives acceptable
/// ones.
///
/// # Errors
/// [`FetchError::NoneAcceptable`] with a reason for each node, or [`FetchError::NoNodes`].
pub async fn fetch_span(
    client: &Client,
    nodes: &[Node],
    wanted: &Span<'_>,
) -> Result<Bytes, FetchError> {
    if wanted.span.is_empty() {
        return Ok(Bytes::new());
    }
    let mut waiting = nodes.iter().enumerate();
    let mut asked = FuturesUnordered::new();
    let mut runners: Vec<Option<Runner>> = nodes.iter().map(|_| None).collect();
    let mut reasons = Vec::new();
    let (mut unreachable, mut whole) = (true, false);
    let (mut due, mut pause) = (Instant::now(), HEDGE);
    loop {
        let now = Instant::now();
        if now >= due {
            runners.iter_mut().flatten().for_each(|runner| runner.look(now));
            let at_work = runners.iter().flatten().filter(|runner| runner.rate > DRIP).count();
            let served = at_work >= MAX_AT_WORK
                || runners.iter().flatten().any(|runner| runner.will_do(wanted.whole));
            due = now + pause;
            if !served && let Some((index, node)) = waiting.next() {
                let length = wanted.span.end - wanted.span.start;
                let here =
                    Arc::new(AskedNode { came: AtomicU64::new(0), left: AtomicU64::new(length) });
                runners[index] =
                    Some(Runner { asked: Arc::clone(&here), seen: (now, 0), rate: 0.0 });
                asked.push(async move { (index, ask(client, node, wanted, &here).await) });
                pause = if at_work > 0 { pause * 2 } else { HEDGE };
                due = now + pause;
            }
        }
        if asked.is_empty() && waiting.len() == 0 {
            break;
        }
        tokio::select! {
            Some((index, answer)) = asked.next() => {
                let node = &nodes[index];
                let (kind, detail) = match answer {
                    Ok(bytes) if (wanted.accept)(&bytes) => return Ok(bytes),
                    Ok(_) => {
                        unreachable = false;
                        (FaultKind::WrongBytes, "its bytes are not the signed ones".to_owned())
                    }
                    Err(error) => {
                        unreachable &= error.is_unreachable();
                        whole |= matches!(error, FetchError::Whole { .. });
                        (kind_of(&error), error_chain::line(&error))
                    }
                };
                reasons.push(format!("{}: {detail}", node.id));
                let name = node.label().to_owned();
                (wanted.faults)(NodeFault { node: node.id.clone(), name, fault: kind, detail, dropped: false });
                runners[index] = None;
                due = Instant::now();
            }
            () = tokio::time::sleep_until(due), if waiting.len() > 0 => {}
        }
    }
    let location = wanted.location.to_owned();
    if nodes.is_empty() {
        return Err(FetchError::NoNodes { location });
    }
    Err(FetchError::NoneAcceptable { location, reasons, unreachable, whole })
}

fn kind_of(error: &FetchError) -> FaultKind {
    match error {
        FetchError::TimedOut { .. } => FaultKind::Stalled,
        FetchError::Whole { .. } => FaultKind::IgnoredRange,
        FetchError::Http { source, .. } if source.is_connect() => FaultKind::Unreachable,
        FetchError::Http { .. } => FaultKind::Truncated,
        _ => FaultKind::Refused,
    }
}

/// Asks one node, and again where its answer broke.
async fn ask(
    client: &Client,
    node: &Node,
    wanted: &Span<'_>,
    asked: &AskedNode,
) -> Result<Bytes, FetchError> {
    let Span { location, span, .. } = wanted;
    let address = |source| FetchError::Address {
        node: node.id.clone(),
        location: (*location).to_owned(),
        source,
    };
    let url = node.address(location).map_err(address)?;
    let mut body = BytesMut::new();
    let mut pace = Pace { since: Instant::now(), came: 0 };
    let mut tries = 0;
    loop {
        let before = body.len() as u64;
        let read = read(client, &url, wanted, asked, (&mut body, &mut pace)).await;
        if body.len() as u64 >= span.end - span.start {
            return Ok(body.freeze());
        }
        tries += 1;
        let gained = body.len() as u64 - before;
        match read {
            Err(error @ (FetchError::TimedOut { .. } | FetchError::Whole { .. })) => {
                return Err(error);
            }
            read if gained < FRUITFUL || tries >= RESUMED => {
                read?;
                let reason =
                    format!("ended {} bytes too early", span.end - span.start - body.len() as u64);
                return Err(FetchError::WrongAnswer { url: redacted(&url), reason });
            }
            _ => {}
        }
    }
}

/// Measures whether enough bytes arrive in the given time.
struct Pace {
    since: Instant,
    came: u64,
}

impl Pace {
    fn is_too_slow(&mut self, bytes: u64, left: u64) -> bool {
        self.came += bytes;
        if self.came >= MIN_BYTES.min(left / MIN_SHARE) {
            *self = Self { since: Instant::now(), came: 0 };
        }
        self.since.elapsed() > MIN_TIME
    }
}

/// One request for the missing bytes of a span, as far as it goes.
async fn read(
    client: &Client,
    url: &Url,
    wanted: &Span<'_>,
    asked: &AskedNode,
    (body, pace): (&mut BytesMut, &mut Pace),
) -> Result<(), FetchError> {
    let late =
        |seconds: Duration| FetchError::TimedOut { url: redacted(url), seconds: seconds.as_secs() };
    let span = wanted.span.start + body.len() as u64..wanted.span.end;
    let answer = timeout(wanted.silence, client.ask(url, &span, false))
        .await
        .map_err(|_| late(wanted.silence))?;
    let mut answer = answer.map_err(|source| http(url, source))?;
    let (status, length) = (answer.status(), answer.content_length());
    let judged = response::judge(
        status,
        answer.headers(),
        length,
        &span,
        wanted.object_length,
        wanted.whole,
    );
    let response::Fit { mut skip, .. } = judged.map_err(|unfit| match unfit.kind {
        FaultKind::IgnoredRange if !unfit.lasting => FetchError::Whole { url: redacted(url) },
        _ => FetchError::WrongAnswer { url: redacted(url), reason: unfit.detail },
    })?;
    let mut missing = span.end - span.start;
    while missing > 0 {
        asked.left.store(skip + missing, Ordering::Relaxed);
        let chunk =
            timeout(wanted.silence, answer.chunk()).await.map_err(|_| late(wanted.silence))?;
        let Some(mut chunk) = chunk.map_err(|source| http(url, source))? else { break };
        let came = chunk.len() as u64;
        asked.came.fetch_add(came, Ordering::Relaxed);
        let passed = chunk.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
        chunk.advance(passed);
        skip -= passed as u64;
        chunk.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
        missing -= chunk.len() as u64;
        body.extend_from_slice(&chunk);
        if pace.is_too_slow(came, skip + missing) {
            return Err(late(MIN_TIME));
        }
    }
    Ok(())
}
