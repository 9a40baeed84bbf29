// SPDX-License-Identifier: Apache-2.0
//! Locks that a panic has not made unusable: what they protect is whole at any time.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits for the lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
