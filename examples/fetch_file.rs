//! Downloads a file from several nodes with the engine's own downloader, and prints what the
//! download cost. It serves measurements, and tests of nodes by hand:
//!
//! ```text
//! cargo run --release --example fetch_file -- --reference FILE --location FILE --out PATH URL…
//! ```
//!
//! The program makes the piece hashes from the reference file before the clock starts. It prints
//! one JSON object to stdout.

#![allow(clippy::disallowed_methods)] // a program of its own

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use kuzflow::testing::fetch::{
    Client, ClientOptions, Control, DownloadJob, FetchEvent, RunState, download,
};
use kuzflow::testing::model::{Digest, Node, PieceTable};
use tokio::sync::{mpsc, watch};

/// Download a file from several nodes and print seconds, bytes and shares as JSON.
#[derive(Parser)]
struct Options {
    /// The file as it should become; only its piece hashes are used.
    #[arg(long)]
    reference: PathBuf,
    /// Location relative to each node's address.
    #[arg(long)]
    location: String,
    /// Where to write.
    #[arg(long)]
    out: PathBuf,
    /// Bytes a second at most.
    #[arg(long)]
    limit: Option<u64>,
    /// Connections a node begins with.
    #[arg(long, default_value_t = 2)]
    first: usize,
    /// Connections a node may have.
    #[arg(long, default_value_t = 16)]
    most: usize,
    /// Where measurements of nodes are kept.
    #[arg(long)]
    memory: Option<PathBuf>,
    /// Stop after this many seconds; what came until then is told.
    #[arg(long)]
    seconds: Option<u64>,
    /// Print progress of each node to stderr.
    #[arg(long)]
    verbose: bool,
    /// Addresses of nodes.
    #[arg(required = true)]
    nodes: Vec<url::Url>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let table = Arc::new(pieces_of(&options.reference)?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(options, table))
}

fn pieces_of(path: &std::path::Path) -> std::io::Result<PieceTable> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let piece_size = PieceTable::size_for(length);
    let mut piece = vec![0; piece_size as usize];
    let mut hashes = Vec::new();
    let mut left = length;
    while left > 0 {
        let bytes = left.min(u64::from(piece_size)) as usize;
        file.read_exact(&mut piece[..bytes])?;
        hashes.push(Digest::of(&piece[..bytes]));
        left -= bytes as u64;
    }
    Ok(PieceTable { piece_size, length, hashes })
}

async fn run(options: Options, table: Arc<PieceTable>) -> Result<(), Box<dyn std::error::Error>> {
    let nodes: Vec<Node> = options.nodes.iter().cloned().map(Node::at).collect();
    let length = table.length;
    let mut job = DownloadJob::new(options.location, length, table, nodes, options.out);
    job.memory = options.memory;
    job.connections = (options.first, options.most);
    let client = Client::new(&ClientOptions::default())?;
    let (control, orders) = watch::channel(Control { limit: options.limit, ..Control::default() });
    let (sender, mut events) = mpsc::unbounded_channel();
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let task = tokio::spawn(async move { download(&client, job, orders, sender).await });
    if let Some(seconds) = options.seconds {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            control.send_modify(|control| control.state = RunState::Cancel);
        });
    }
    let (mut faults, mut last, mut firsts) = (Vec::new(), None, 0_u32);
    while let Some(event) = events.recv().await {
        match event {
            FetchEvent::Fault(fault) => {
                eprintln!(
                    "{:6.2} s  {}",
                    started.elapsed().as_secs_f64(),
                    serde_json::to_string(&fault)?
                );
                faults.push(fault);
            }
            FetchEvent::Progress(progress) => {
                if options.verbose {
                    let speeds: Vec<String> = progress
                        .nodes
                        .iter()
                        .map(|node| format!("{:7.0}", node.speed / 1e3))
                        .collect();
                    eprintln!(
                        "{:6.2} s  {:5.1}%  {} kB/s",
                        started.elapsed().as_secs_f64(),
                        progress.done as f64 / progress.total as f64 * 100.0,
                        speeds.join(" ")
                    );
                }
                last = Some(progress);
            }
            FetchEvent::Piece(_) => firsts += 1,
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let outcome = task.await?;
    let done = last.as_ref().map_or(0, |progress| progress.done);
    let report = serde_json::json!({
        "seconds": seconds,
        "length": length,
        "done": done,
        "pieces": firsts,
        "bytes_per_second": done as f64 / seconds,
        "received": outcome.as_ref().ok().map(|summary| summary.received),
        "resumed": outcome.as_ref().ok().map(|summary| summary.resumed),
        "nodes": last.map(|progress| progress.nodes),
        "faults": faults,
        "error": outcome.err().map(|error| error.to_string()),
        "cpu_seconds": cpu_seconds().zip(cpu).map(|(after, before)| after - before),
        "peak_memory_kib": peak_memory_kib(),
    });
    println!("{report}");
    Ok(())
}

/// The process's peak resident memory, KiB; `None` where the system has no /proc.
fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// User and system seconds of this process so far; `None` where the system has no /proc.
fn cpu_seconds() -> Option<f64> {
    /// Linux's fixed unit of these counters.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_SECOND)
}
