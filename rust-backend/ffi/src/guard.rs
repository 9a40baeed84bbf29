// SPDX-License-Identifier: Apache-2.0
//! The one way into Rust: nothing gets in that is null, no panic gets out.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::types::OwnedText;

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    /// As asked.
    Ok,
    /// It could not be done; see each function.
    Failed,
    /// An argument is not what it must be. This is a defect of the caller.
    Invalid,
    /// A panic was caught: a defect of this library.
    Internal,
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `call`, which returns nothing if an argument was null, and turns what comes of it into a status.
pub(crate) fn guard(call: impl FnOnce() -> Option<Status>) -> Status {
    // A panic leaves behind what `call` was working on. Handles of connections are poisoned by the caller of this
    // function; all else that is shared is either immutable or behind locks that tolerate poisoning.
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
            // A thread that is ending may have no place for the text any more.
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
