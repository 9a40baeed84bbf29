// SPDX-License-Identifier: Apache-2.0
//! Certificates with their private keys: read from files, kept over reloads, decrypted by pass phrases.
//!
//! Private keys are held only here and in rustls. They are zeroised when they are freed, and never logged.
//!
//! May use: base, crypto, key_process, trust, x509.

pub mod deferred_key;
pub mod encrypted_key;
pub mod identity;
pub mod inspection;
pub mod key_file;
pub mod pass_phrase;
mod percent;
pub mod phrase_source;
pub mod pkcs11_uri;
mod program;
pub mod redis_names;
pub mod sealing;
pub mod store_pattern;
pub mod store_source;
pub mod unlock;
