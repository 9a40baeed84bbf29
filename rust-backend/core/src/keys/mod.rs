// SPDX-License-Identifier: Apache-2.0
//! Certificates with their private keys: read from files, kept over reloads, decrypted by pass phrases.
//!
//! A private key stays here and in rustls. It is zeroised when it is freed, and never logged.
//!
//! May use: base, crypto, trust, x509.

pub(crate) mod deferred_key;
pub mod encrypted_key;
pub mod identity;
pub mod pass_phrase;
mod program;
