//! Locks of the standard library's mutex, in one word. Ground floor.
//!
//! In: a mutex. Out: its value. Never: a second panic. A thread that panics while it holds a lock
//! poisons it; what the lock guards is then as that thread left it, and each change under our locks
//! is one step, so the other threads go on.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the lock.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The value, once nobody else has the mutex.
pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_panic_under_a_lock_stops_nobody_else() {
        let mutex = Arc::new(Mutex::new(1));
        let held = Arc::clone(&mutex);
        let panics = std::thread::spawn(move || {
            let _value = lock(&held);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panics.join().is_err() && mutex.is_poisoned());
        *lock(&mutex) += 1;
        assert_eq!(into_inner(Arc::into_inner(mutex).unwrap()), 2);
    }
}
