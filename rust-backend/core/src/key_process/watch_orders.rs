// SPDX-License-Identifier: Apache-2.0
//! The messages between httpd's parent process and the process that watches `tls-keyd` and files. They are frames as those of
//! the [protocol](super::protocol).

use serde::{Deserialize, Serialize};

use crate::base::diagnostics::Severity;

/// An order. Only `Report` has an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchOrder {
    /// The process to end with.
    Parent(u32),
    /// To watch the `tls-keyd` at the other end of the socket that is the descriptor, in place of another one.
    Keys,
    /// The descriptor is the socket to the bell: a process that ends when the socket is closed, which httpd's parent process
    /// notices.
    Bell,
    /// To watch these files in place of those of before.
    Files {
        /// How often to look at files that the kernel does not watch, in seconds.
        interval: u32,
        /// The files.
        list: Vec<WatchedFiles>,
    },
    /// To report what has happened since the last report.
    Report,
}

/// The files of an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFiles {
    /// The number of the identity.
    pub slot: u32,
    /// The stamp of the files that are in use.
    pub stamp: u64,
    /// The path of the certificate.
    pub certificate: Vec<u8>,
    /// The path of the key, if it is in another file.
    pub key: Option<Vec<u8>>,
    /// The path of the intermediate certificates, if they are in another file.
    pub chain: Option<Vec<u8>>,
}

/// What has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReport {
    /// The numbers of identities whose files have changed.
    pub changed: Vec<u32>,
    /// Whether `tls-keyd` has not answered for a while.
    pub is_silent: bool,
    /// Messages for the error log.
    pub messages: Vec<(Severity, String)>,
}
