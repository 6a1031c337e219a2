//! One range request, from the question to the last piece. It gathers pieces in memory. A blocking
//! thread verifies and writes one piece while the next one arrives, so only verified bytes reach
//! the disk.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc};
use url::Url;

use super::client::Client;
use super::partial::PieceFile;
use super::rate_limit::RateLimit;
use super::scheduler::{Fault, NodeIndex, RequestId};
use super::{FetchError, response};
use crate::error_chain;
use crate::model::PieceTable;
use crate::model::transfer::FaultKind;
use crate::mutex;

/// What range requests report to the driver.
pub(super) enum Report {
    Answered { range_request: RequestId, seconds: f64 },
    Verified { piece: u32, node: NodeIndex },
    Wrong { piece: u32, nodes: Vec<NodeIndex> },
    Ended { range_request: RequestId, position: u64, fault: Option<Fault>, begun: Option<Begun> },
    Broken(FetchError),
}

/// The beginning of a piece, retained when its request ended; its next request goes on from there.
pub(super) struct Begun {
    pub piece: u32,
    pub bytes: Vec<u8>,
    /// All nodes that sent a part of it.
    pub nodes: Vec<NodeIndex>,
}

/// The driver's control over a range request.
pub(super) struct Handle {
    /// The first piece that it need not fetch.
    pub end: AtomicU32,
    /// Bytes received so far, and bytes passed over before them.
    pub received: AtomicU64,
    pub passed_over: AtomicU64,
    /// Ends the range request now.
    pub cancel: Notify,
}

/// What all range requests of a download share.
pub(super) struct TransferState {
    pub client: Client,
    pub table: Arc<PieceTable>,
    pub object_length: u64,
    pub file: PieceFile,
    pub rate_limit: RateLimit,
    pub reports: mpsc::UnboundedSender<Report>,
    /// Bounds the pieces that wait for their hash, and so the memory.
    pub hashing: Arc<Semaphore>,
    /// Buffers of pieces to use again: new memory pages cost more than the copy.
    pub buffers: Mutex<Vec<Vec<u8>>>,
}

/// The task of one range request.
pub(super) struct RangeRequestTask {
    pub id: RequestId,
    pub node: NodeIndex,
    pub url: Url,
    pub bytes: Range<u64>,
    /// Whether the node is a peer.
    pub is_peer: bool,
    pub whole_allowed: bool,
    pub answer_within: Duration,
    pub silence: Duration,
    pub begun: Option<Begun>,
    pub handle: Arc<Handle>,
    pub shared: Arc<TransferState>,
}

/// Upper bound of the time until a connection is in the pool again.
const POOLING: Duration = Duration::from_millis(2);
/// Smallest beginning of a piece that is worth retaining.
const WORTH_KEEPING: usize = 4 << 10;

impl RangeRequestTask {
    /// Runs until the range request has ended, and reports that last.
    pub(super) async fn run(mut self) {
        let piece = self.shared.table.covering(&self.bytes).start;
        let begun = self.begun.take();
        let mut gather = Gather {
            piece,
            position: self.bytes.start,
            nodes: begun.as_ref().map(|begun| begun.nodes.clone()).unwrap_or_default(),
            bytes: begun.map_or_else(|| self.shared.buffer(), |begun| begun.bytes),
            node: self.node,
        };
        let handle = Arc::clone(&self.handle);
        let fault = tokio::select! {
            biased;
            () = handle.cancel.notified() => None,
            result = self.transfer(&mut gather) => result.err(),
        };
        let (position, begun) = gather.end(&self.shared);
        let _ = self.shared.reports.send(Report::Ended {
            range_request: self.id,
            position,
            fault,
            begun,
        });
    }

    async fn transfer(&self, gather: &mut Gather) -> Result<(), Fault> {
        let (answer, fit) = self.ask().await?;
        self.receive(answer, fit, gather).await
    }

    /// Asks the node. Returns its answer once the answer's head fits the question.
    async fn ask(&self) -> Result<(reqwest::Response, response::Fit), Fault> {
        let asked = Instant::now();
        let answer = tokio::time::timeout(
            self.answer_within,
            self.shared.client.ask(&self.url, &self.bytes, self.is_peer),
        )
        .await;
        let answer = answer
            .map_err(|_| {
                passing(
                    FaultKind::Stalled,
                    format!("did not answer within {} s", self.answer_within.as_secs_f64().round()),
                )
            })?
            .map_err(|error| {
                passing(FaultKind::Unreachable, error_chain::line(&error.without_url()))
            })?;
        if self.is_peer && answer.status().as_u16() == 200 {
            // Peers are launchers, which can send ranges.
            let detail = "a peer sent the whole file in place of a range".to_owned();
            return Err(Fault {
                kind: FaultKind::IgnoredRange,
                detail,
                lasting: true,
                retry_after: None,
            });
        }
        let judged = response::judge(
            answer.status(),
            answer.headers(),
            answer.content_length(),
            &self.bytes,
            self.shared.object_length,
            self.whole_allowed,
        );
        let fit = judged.map_err(|unfit| Fault {
            kind: unfit.kind,
            detail: unfit.detail,
            lasting: unfit.lasting,
            retry_after: unfit.retry_after,
        })?;
        let report =
            Report::Answered { range_request: self.id, seconds: asked.elapsed().as_secs_f64() };
        let _ = self.shared.reports.send(report);
        Ok((answer, fit))
    }

    /// Takes the body in, until the request has all that it should fetch.
    async fn receive(
        &self,
        mut answer: reqwest::Response,
        fit: response::Fit,
        gather: &mut Gather,
    ) -> Result<(), Fault> {
        let response::Fit { mut skip, end } = fit;
        loop {
            let Some(chunk) = self.next_chunk(&mut answer).await? else {
                // Some servers limit the bytes of one answer. As long as that is worth a request,
                // it is no fault.
                if gather.position >= end && end - self.bytes.start >= WORTH_KEEPING as u64 {
                    return Ok(());
                }
                return Err(passing(
                    FaultKind::Truncated,
                    format!("ended its answer at byte {}", gather.position),
                ));
            };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            let wanted = &chunk[skipped as usize..];
            self.shared.rate_limit.pay(chunk.len()).await;
            self.handle.passed_over.fetch_add(skipped, Ordering::Relaxed);
            self.handle.received.fetch_add(wanted.len() as u64, Ordering::Relaxed);
            if self.gather(gather, wanted).await {
                // Read to the end of the body, and leave the connection time to go back to the
                // pool. Otherwise the next request would take a colder connection, whose congestion
                // window is small.
                if gather.position == self.bytes.end && skipped == 0 {
                    let _ = tokio::time::timeout(Duration::from_millis(50), answer.chunk()).await;
                    drop(answer);
                    tokio::time::sleep(POOLING).await;
                }
                return Ok(());
            }
        }
    }

    /// The next bytes of the body; `None` at its end.
    async fn next_chunk(&self, answer: &mut reqwest::Response) -> Result<Option<Bytes>, Fault> {
        tokio::time::timeout(self.silence, answer.chunk())
            .await
            .map_err(|_| {
                let detail = format!("sent nothing for {} s", self.silence.as_secs_f64().round());
                passing(FaultKind::Stalled, detail)
            })?
            .map_err(|error| passing(FaultKind::Truncated, error_chain::line(&error.without_url())))
    }

    /// Takes in bytes; true when the request has all that it should fetch.
    async fn gather(&self, gather: &mut Gather, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let end = self.shared.table.span(gather.piece).end;
            let room =
                usize::try_from(end - gather.position).unwrap_or(usize::MAX).min(bytes.len());
            gather.bytes.extend_from_slice(&bytes[..room]);
            gather.position += room as u64;
            bytes = &bytes[room..];
            if gather.position == end {
                self.hand_over(gather).await;
                if gather.piece >= self.handle.end.load(Ordering::Relaxed)
                    || gather.position >= self.bytes.end
                {
                    return true;
                }
            }
        }
        false
    }

    /// Hands a whole piece to another thread, which verifies and writes it.
    async fn hand_over(&self, gather: &mut Gather) {
        // Closed only when the download is being dropped.
        let permit = Arc::clone(&self.shared.hashing).acquire_owned().await;
        let bytes = std::mem::replace(&mut gather.bytes, self.shared.buffer());
        let nodes = gather.contributors();
        gather.nodes.clear();
        let piece = gather.piece;
        gather.piece += 1;
        let (shared, node) = (Arc::clone(&self.shared), self.node);
        tokio::task::spawn_blocking(move || {
            let report = match shared.file.verify_and_write(piece, &bytes) {
                Ok(true) => Report::Verified { piece, node },
                Ok(false) => Report::Wrong { piece, nodes },
                Err(error) => Report::Broken(error),
            };
            shared.give_back(bytes);
            let _ = shared.reports.send(report);
            drop(permit);
        });
    }
}

impl TransferState {
    fn buffer(&self) -> Vec<u8> {
        let used = mutex::lock(&self.buffers).pop();
        used.unwrap_or_else(|| Vec::with_capacity(self.table.piece_size as usize))
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        mutex::lock(&self.buffers).push(buffer);
    }
}

/// The piece in flight.
struct Gather {
    piece: u32,
    /// The download has received everything before this byte of the object.
    position: u64,
    bytes: Vec<u8>,
    nodes: Vec<NodeIndex>,
    node: NodeIndex,
}

impl Gather {
    fn contributors(&self) -> Vec<NodeIndex> {
        let mut nodes = self.nodes.clone();
        if !nodes.contains(&self.node) {
            nodes.push(self.node);
        }
        nodes
    }

    /// Ends a piece that is not whole, and retains it if it is worth that. A whole piece is here
    /// only if the request was cancelled between its last byte and its hash; it is dropped.
    fn end(self, shared: &TransferState) -> (u64, Option<Begun>) {
        if self.bytes.len() < WORTH_KEEPING || self.position == shared.table.span(self.piece).end {
            let position = self.position - self.bytes.len() as u64;
            shared.give_back(self.bytes);
            return (position, None);
        }
        let nodes = self.contributors();
        (self.position, Some(Begun { piece: self.piece, bytes: self.bytes, nodes }))
    }
}

fn passing(kind: FaultKind, detail: String) -> Fault {
    Fault { kind, detail, lasting: false, retry_after: None }
}
