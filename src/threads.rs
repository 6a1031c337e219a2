//! Starts threads, which the system may refuse: a limit of processes, no memory for one more stack.
//! Ground floor.
//!
//! In: work, and the name of its thread. Out: the thread or the system's error; helpers, as many as
//! there are; a runtime that has the threads it cannot do without. Never: a panic because there is
//! no thread, or a thread that takes the last of the memory: an allocation that fails ends the
//! whole program, and a thread that is not there is dealt with.

#![allow(clippy::disallowed_methods)] // the one room that starts threads

use std::cell::Cell;
use std::io;
use std::panic::catch_unwind;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};
use std::time::Duration;

use tokio::runtime::{self, Runtime};

/// How long a runtime retains threads that wait for work; they do not wake up. If it had none left,
/// it would panic where it needs one.
const KEEP: Duration = Duration::from_secs(60 * 60 * 24 * 365);
/// Longest wait until a thread that the system has granted runs.
const UNTIL_IT_RUNS: Duration = Duration::from_secs(5);

/// Memory that is to be had beside a new thread, bytes.
const BESIDE_A_THREAD: usize = 32 << 20;
/// The stack of a thread for work that calls itself deeply, bytes.
const DEEP_STACK: usize = 64 << 20;

/// Whether so much memory is to be had now (a limit of the address space, a system that promises
/// no more than it has); none of it is used.
///
/// # Errors
/// `OutOfMemory` if it is not.
pub(crate) fn check_memory(bytes: usize) -> io::Result<()> {
    let mut probe = Vec::<u8>::new();
    probe.try_reserve_exact(bytes).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // A compiler may leave out what nobody uses.
    std::hint::black_box(probe.as_ptr());
    Ok(())
}

/// Starts a thread.
///
/// # Errors
/// If the system has none, or little memory beside it.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    check_memory(BESIDE_A_THREAD)?;
    Builder::new().name(name.to_owned()).spawn(work)
}

/// Starts a thread for work that calls itself deeply.
///
/// # Errors
/// As [`spawn`].
pub(crate) fn spawn_deep<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    check_memory(BESIDE_A_THREAD + DEEP_STACK)?;
    Builder::new().name(name.to_owned()).stack_size(DEEP_STACK).spawn(work)
}

/// Starts a thread of a scope.
///
/// # Errors
/// As [`spawn`].
pub(crate) fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    check_memory(BESIDE_A_THREAD)?;
    Builder::new().name(name.to_owned()).spawn_scoped(scope, work)
}

/// Starts `count` threads that do the same work as their caller; fewer if the system grants no
/// more.
pub(crate) fn help<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    work: impl Fn() -> T + Send + Copy + 'scope,
) -> Vec<ScopedJoinHandle<'scope, T>> {
    (0..count).map_while(|_| spawn_scoped(scope, "helper", work).ok()).collect()
}

/// A runtime with `workers` threads; with 0 it runs on the thread that waits for it. One more
/// thread, for work that blocks, exists from the beginning to the end.
///
/// # Errors
/// If the system refuses these threads, or the files for the runtime.
pub(crate) fn runtime(workers: usize) -> io::Result<Runtime> {
    // Starts these threads once as a test, with one for the caller that waits for the runtime and
    // one for the next step.
    probe(workers + 3)?;
    // If tokio gets no thread all the same, it panics, and may then block for ever. So this runs on
    // a thread that can be abandoned.
    let (sender, built) = mpsc::channel();
    spawn("runtime", move || {
        MAY_PANIC.set(true);
        let runtime = catch_unwind(|| build(workers))
            .unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()));
        sender.send(runtime).is_ok()
    })?;
    built.recv_timeout(2 * UNTIL_IT_RUNS).unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
}

/// Whether a panic of this thread is expected and handled, so that it must not be reported as a
/// bug.
pub(crate) fn may_panic() -> bool {
    MAY_PANIC.get()
}

thread_local! {
    static MAY_PANIC: Cell<bool> = const { Cell::new(false) };
}

fn build(workers: usize) -> io::Result<Runtime> {
    let mut builder = if workers == 0 {
        runtime::Builder::new_current_thread()
    } else {
        runtime::Builder::new_multi_thread()
    };
    let runtime =
        builder.worker_threads(workers.max(1)).thread_keep_alive(KEEP).enable_all().build()?;
    let (sender, running) = mpsc::channel();
    runtime.spawn_blocking(move || sender.send(()).is_ok());
    running.recv_timeout(UNTIL_IT_RUNS).map_err(|_| io::ErrorKind::WouldBlock)?;
    Ok(runtime)
}

/// Whether the system grants this many threads at the same time.
fn probe(count: usize) -> io::Result<()> {
    let (end, ended) = mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(ended);
    std::thread::scope(|scope| {
        let wait = || {
            // Waits until all of them have started.
            let _ = ended.lock().map(|ended| ended.recv());
        };
        let tried = (0..count).try_for_each(|_| spawn_scoped(scope, "probe", wait).map(drop));
        drop(end);
        tried
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_to_be_had_is_known_before() {
        check_memory(BESIDE_A_THREAD).unwrap();
        let error = check_memory(isize::MAX.cast_unsigned() / 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn helpers_do_the_same_work() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let work = || done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| assert_eq!(help(scope, 3, work).len(), 3));
        assert_eq!(done.into_inner(), 3);
    }

    #[test]
    fn a_runtime_does_what_blocks_with_and_without_workers() {
        for workers in [0, 2] {
            let runtime = runtime(workers).unwrap();
            assert_eq!(
                runtime.block_on(async { tokio::task::spawn_blocking(|| 7).await.unwrap() }),
                7
            );
        }
    }
}
