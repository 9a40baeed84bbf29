// SPDX-License-Identifier: Apache-2.0
//! The messages between httpd's parent process and the process that watches `tls-keyd` and files. They are frames as those of
//! the [protocol](super::protocol).

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

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
    /// To watch these files in place of those with the same number.
    Again(WatchedFiles),
    /// To report what has happened since the last report.
    Report,
    /// What became of the files of an identity that have changed.
    Settled {
        /// The number of the identity.
        slot: u32,
        /// What became of them.
        settled: Settled,
    },
    /// To serve `tls-certs` on the socket that is the descriptor, in place of another one.
    Control {
        /// The group whose members may use it, besides root and the user of this process.
        group: Option<u32>,
    },
    /// Not to serve it.
    NoControl,
    /// The descriptor is the catalogue, for which the last report has asked.
    Catalogue,
    /// The catalogue is not amended any longer.
    NoCatalogue,
}

/// What became of files when httpd's parent process read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Their stamp; none if one could not be looked at.
    pub stamp: Option<u64>,
    /// Since when the certificate is used, or when it was refused, in seconds since 1970.
    pub since: i64,
    /// Why it was refused; none if it is used.
    pub refused: Option<String>,
}

/// Files that are read together, those of an identity for example.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedFiles {
    /// Their [number](crate::base::slots).
    pub slot: u32,
    /// What became of them.
    pub settled: Settled,
    /// Their paths. A directory stands for its entries; the files in it are named, too.
    pub paths: Vec<ByteBuf>,
}

/// What has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReport {
    /// The numbers of files that have changed.
    pub changed: Vec<u32>,
    /// Whether `tls-keyd` has not answered for a while.
    pub is_silent: bool,
    /// Whether the catalogue is wanted.
    pub wants_catalogue: bool,
    /// Messages for the error log.
    pub messages: Vec<(Severity, String)>,
}
