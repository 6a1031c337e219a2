//! Runs independent pieces of work on several cores. Ground floor.
//!
//! In: pieces, in the order in which they should begin (the largest first, so that no large one is
//! left at the end), and the work for each. Out: the first error. Never: leaves a thread running
//! after the call, hides a panic.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::threads;

/// The threads that this computer runs at the same time; one where the system does not say.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Does `work` with each of `pieces`, on at most `threads` threads, the caller's included. `begin`
/// makes the state that a thread reuses from piece to piece. After an error no further piece is
/// begun; begun pieces are completed, and one of the errors is returned.
pub(crate) fn each<P: Sync, K, E: Send>(
    pieces: &[P],
    threads: usize,
    begin: impl Fn() -> K + Sync,
    work: impl Fn(&mut K, &P) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut retained = begin();
        // A number beyond the pieces ends the thread, so the counter may pass the end once for each
        // thread.
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut retained, piece)
                .inspect_err(|_| next.store(pieces.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    let threads = threads.min(pieces.len());
    std::thread::scope(|scope| {
        let helpers = threads::help(scope, threads.saturating_sub(1), run);
        let own = run();
        let others = helpers
            .into_iter()
            .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        others.fold(own, Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    #[test]
    fn every_piece_is_done_once_whatever_the_number_of_threads() {
        let pieces: Vec<u32> = (0..100).collect();
        for threads in [0, 1, 2, 7, 1000] {
            let done = Mutex::new(Vec::new());
            let outcome: Result<(), ()> = each(
                &pieces,
                threads,
                || 0_u32,
                |count, piece| {
                    *count += 1;
                    done.lock().unwrap().push((*piece, *count));
                    Ok(())
                },
            );
            let done = done.into_inner().unwrap();
            assert_eq!((outcome, done.len()), (Ok(()), 100));
            assert_eq!(done.iter().map(|(piece, _)| *piece).collect::<BTreeSet<_>>().len(), 100);
            // Each thread counted its own pieces, beginning with one.
            let firsts = done.iter().filter(|(_, count)| *count == 1).count();
            assert!((1..=threads.max(1)).contains(&firsts), "{firsts} of {threads}");
        }
        let none: [u32; 0] = [];
        assert_eq!(each(&none, 4, || (), |(), _| Err("no piece")), Ok(()));
    }

    #[test]
    fn after_an_error_nothing_is_begun_any_more() {
        let pieces: Vec<u32> = (0..1000).collect();
        for threads in [1, 3] {
            let begun = AtomicUsize::new(0);
            let outcome = each(
                &pieces,
                threads,
                || (),
                |(), piece| {
                    begun.fetch_add(1, Ordering::Relaxed);
                    if *piece == 5 { Err(*piece) } else { Ok(()) }
                },
            );
            assert_eq!(outcome, Err(5));
            if threads == 1 {
                assert_eq!(begun.into_inner(), 6);
            }
        }
    }

    #[test]
    fn a_panic_is_the_callers_as_well() {
        let run = || {
            each(
                &[1, 2, 3],
                2,
                || (),
                |(), piece| if *piece == 2 { panic!("piece 2") } else { Ok::<(), ()>(()) },
            )
        };
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
