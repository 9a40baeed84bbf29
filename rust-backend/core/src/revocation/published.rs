// SPDX-License-Identifier: Apache-2.0
//! What is published in the table, and under which keys.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::shared_table::{Key, Reader};
use super::summary::Summary;
use crate::crypto::digest;

/// What a responder says about a certificate that httpd presents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staple {
    /// What it says; or why there is no answer.
    pub verdict: Verdict,
    /// Until when clients accept the response, in seconds since 1970.
    pub until: i64,
    /// The response in DER, if it is one to be stapled.
    #[serde(with = "serde_bytes")]
    pub response: Vec<u8>,
}

/// What a responder says about a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it says; or why it is not known.
    pub verdict: Verdict,
    /// Until when that holds, in seconds since 1970.
    pub until: i64,
}

/// The status of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when, in seconds since 1970.
        at: i64,
    },
    /// The responder does not know it.
    Unknown,
    /// There is no answer that can be used, for this reason.
    Failed(String),
}

/// A revocation list that was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// It in DER; or why there is none.
    pub content: Result<serde_bytes::ByteBuf, String>,
}

/// A value that is published.
pub trait Published: Serialize + DeserializeOwned {
    /// The domain of its keys.
    const KIND: &[u8];

    /// The key for what `parts` name.
    fn key(parts: &[&[u8]]) -> Key {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in std::iter::once(&Self::KIND).chain(parts) {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let hash = context.finish();
        std::array::from_fn(|i| hash.as_ref()[i])
    }

    /// The bytes for the table.
    fn to_bytes(&self) -> Vec<u8> {
        // Writing to memory does not fail, and all of these can be encoded.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// The value in the table.
    fn read(table: &Reader, key: &Key) -> Option<Self> {
        postcard::from_bytes(&table.get(key)?).ok()
    }
}

impl Published for Staple {
    const KIND: &[u8] = b"staple";
}

impl Published for Status {
    const KIND: &[u8] = b"status";
}

impl Published for List {
    const KIND: &[u8] = b"list";
}

impl Published for Summary {
    const KIND: &[u8] = b"summary";
}

impl Summary {
    /// The key of the only one.
    pub fn key_of_it() -> Key {
        Self::key(&[])
    }
}

impl Staple {
    /// Nothing to be stapled, for this reason.
    pub fn missing(verdict: Verdict) -> Self {
        Self {
            verdict,
            until: 0,
            response: Vec::new(),
        }
    }

    /// Whether it is to be stapled at `now`, in seconds since 1970.
    pub fn is_usable(&self, now: i64) -> bool {
        self.verdict == Verdict::Good && self.until > now
    }

    /// The key of the response for a certificate in DER.
    pub fn key_of(certificate: &[u8]) -> Key {
        Self::key(&[certificate])
    }
}

impl List {
    /// The key of the list at `url`.
    pub fn key_for(url: &str) -> Key {
        Self::key(&[url.as_bytes()])
    }
}

impl Status {
    /// The key of the status of a certificate (DER) of an issuer (DER), asked with the settings that have this digest.
    pub fn key_for(settings: &[u8; 32], certificate: &[u8], issuer: &[u8]) -> Key {
        Self::key(&[settings, certificate, issuer])
    }
}
