// SPDX-License-Identifier: Apache-2.0
//! The messages of httpd's parent process to the one that talks to OCSP responders and fetches lists. They are frames as those of
//! [`key_process::protocol`](crate::key_process::protocol).

use serde::{Deserialize, Serialize};

use crate::base::diagnostics::Severity;
use crate::crypto::digest;

/// An order. Only `Ping` has an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The process to end with.
    Parent(u32),
    /// The descriptors are the table to write, and the socket on which questions come.
    Begin,
    /// A new list of what is to be done begins, which [`Order::Go`] ends.
    Settings(Settings),
    /// Responses to be stapled: further ones.
    Staples(Vec<StapleOrder>),
    /// Revocation lists: further ones.
    Lists(Vec<String>),
    /// The list is complete, and what is not on it is no longer to be done.
    Go,
    /// A further response to be stapled, when the list is complete.
    More(Box<Single>),
    /// To answer with a [`Report`].
    Ping,
}

/// A certificate that replaces another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Single {
    /// The certificate. The numbers in it mean nothing.
    pub order: StapleOrder,
    /// The certificate of its issuer in DER.
    #[serde(with = "serde_bytes")]
    pub issuer: Vec<u8>,
    /// How its responder is asked.
    pub settings: OcspSettings,
}

/// The answer to `Ping`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Messages for the error log.
    pub messages: Vec<(Severity, String)>,
}

/// Settings that several orders share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Its number, which questions of child processes have, too.
    pub generation: u64,
    /// How to ask responders.
    pub ocsp: Vec<OcspSettings>,
    /// The certificates of issuers in DER.
    pub issuers: Vec<serde_bytes::ByteBuf>,
    /// How lists are fetched.
    pub lists: FetchSettings,
    /// The certificates of CAs in DER that may have signed lists.
    pub list_issuers: Vec<serde_bytes::ByteBuf>,
}

/// How other machines are asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FetchSettings {
    /// How long an answer may take, in seconds.
    pub timeout: u32,
    /// The proxy: `http://host:port`.
    pub proxy: Option<String>,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            timeout: 10,
            proxy: None,
        }
    }
}

/// How OCSP responders are asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OcspSettings {
    /// How they are reached.
    pub fetch: FetchSettings,
    /// The responder for certificates that name none.
    pub responder: Option<String>,
    /// Whether that one is also asked about certificates that name others.
    pub only_responder: bool,
    /// Whether requests have a nonce, which the response has to repeat.
    pub nonce: bool,
    /// Whether the signatures of responses are not verified.
    pub no_verify: bool,
    /// How much clocks may differ, in seconds.
    pub skew: u32,
    /// How old a response may be, in seconds; none for as old as it says itself.
    pub max_age: Option<u32>,
    /// Certificates in DER that may sign responses besides the issuer and those that it has appointed.
    pub signers: Vec<serde_bytes::ByteBuf>,
    /// A response is fetched anew at least so often, in seconds.
    pub refresh: Option<u32>,
    /// How soon another attempt follows one that has failed, in seconds; none for a pause that grows.
    pub retry: Option<u32>,
}

impl Default for OcspSettings {
    fn default() -> Self {
        Self {
            fetch: FetchSettings::default(),
            responder: None,
            only_responder: false,
            nonce: false,
            no_verify: false,
            skew: 300,
            max_age: None,
            signers: Vec::new(),
            refresh: None,
            retry: None,
        }
    }
}

impl OcspSettings {
    /// A digest, by which answers to questions with these settings are found.
    pub fn digest(&self) -> [u8; 32] {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, &bytes);
        std::array::from_fn(|i| digest.as_ref()[i])
    }
}

/// A certificate for which responses are fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StapleOrder {
    /// What it is called in messages: its file.
    pub name: String,
    /// The certificate in DER.
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
    /// The number of its issuer in [`Settings::issuers`].
    pub issuer: u32,
    /// The number of the settings in [`Settings::ocsp`].
    pub settings: u32,
    /// Whether clients refuse it without a response: it has the extension of RFC 7633.
    pub is_required: bool,
}
