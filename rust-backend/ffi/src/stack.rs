// SPDX-License-Identifier: Apache-2.0
//! What calls leave behind on the stack, which core dumps do have.
//!
//! rustls and aws-lc compute the keys of a connection in variables on the stack of a thread. They stay below its end until
//! other calls reach as deep, which may be never.

use std::hint::black_box;

/// More than a handshake needs. Without optimisation, it needs far more.
const DEPTH: usize = if cfg!(debug_assertions) { 160 * 1024 } else { 32 * 1024 };

/// Runs `call`, and overwrites what it left on the stack if it says that there are `Secrets`.
pub(crate) fn leaving_nothing<T>(call: impl FnOnce() -> (T, Secrets)) -> T {
    let (result, secrets) = deeper(call);
    if secrets == Secrets::Used {
        overwrite();
    }
    result
}

/// Whether a call had to do with secrets that are worth the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrets {
    None,
    Used,
}

/// A frame of its own: what is inlined into `call` is then below the caller's frame, too.
#[inline(never)]
fn deeper<T>(call: impl FnOnce() -> T) -> T {
    call()
}

#[inline(never)]
fn overwrite() {
    black_box(&mut [0_u8; DEPTH]);
}
