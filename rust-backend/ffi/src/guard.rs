// SPDX-License-Identifier: Apache-2.0
//! Guards the calls from C: null arguments give a status, panics are caught.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::types::OwnedText;

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    /// Success.
    Ok,
    /// Failure; see each function.
    Failed,
    /// An argument is invalid. This is a bug in the caller.
    Invalid,
    /// A panic was caught. This is a bug in this library.
    Internal,
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `call` and returns its status. `call` returns `None` if an argument is null.
pub(crate) fn guard(call: impl FnOnce() -> Option<Status>) -> Status {
    // A panic may leave data in an inconsistent state. The caller of this function poisons the handle of the
    // connection; other shared data is immutable, or behind locks that tolerate poisoning.
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(status) => status.unwrap_or(Status::Invalid),
        Err(_) => Status::Internal,
    }
}

/// Keeps the message of a panic instead of writing it to stderr, so that it is logged with its connection.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let text = info.to_string().replace('\n', " ");
            // The thread-local variable does not exist any more if the thread is ending.
            let _ = LAST_PANIC.try_with(|last| *last.borrow_mut() = text);
        }));
    });
}

/// The message of the last panic of this thread.
pub(crate) fn last_panic() -> String {
    LAST_PANIC.try_with(|last| last.borrow().clone()).unwrap_or_default()
}

/// The message of the last panic of this thread, for the error log. `tls_text_free` frees it.
#[unsafe(no_mangle)]
pub extern "C" fn tls_last_panic() -> OwnedText {
    OwnedText::give(last_panic())
}
