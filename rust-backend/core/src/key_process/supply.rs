// SPDX-License-Identifier: Apache-2.0
//! The messages of the processes that look into stores of certificates: they open files, or ask a server, and have no keys in
//! their memory. They are frames as those of the [protocol](super::protocol).
//!
//! httpd's parent process gives such a process [orders](SupplyOrder); `tls-keyd` sends [requests](SupplyRequest) over other
//! connections.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parent::Role;

/// An order of httpd's parent process. Only `Ping` has an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupplyOrder {
    /// The process to end with.
    Parent(u32),
    /// To answer requests on the socket that is the descriptor, which are about this store.
    Serve(StoreSpec),
    /// To answer.
    Ping,
}

/// The answer to `Ping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive;

/// A store of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoreSpec {
    /// Files, by patterns.
    Files {
        /// The certificate with its chain.
        certificate: String,
        /// The key, if it is in another file.
        key: Option<String>,
    },
    /// A Redis server.
    Redis(RedisSpec),
}

/// A Redis server.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RedisSpec {
    /// Its URL, in which there may be a password.
    pub url: String,
    /// The CA of its certificate as PEM; none for those of the system.
    #[serde(with = "serde_bytes")]
    pub ca: Option<Vec<u8>>,
}

impl fmt::Debug for RedisSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisSpec")
    }
}

impl StoreSpec {
    /// Which process looks into it.
    pub(super) fn role(&self) -> Role {
        match self {
            Self::Files { .. } => Role::Open,
            Self::Redis(_) => Role::Fetch,
        }
    }
}

/// A request of `tls-keyd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupplyRequest {
    /// To make another connection for requests about the same store.
    Connect,
    /// To look up a name, a [`HostName`](crate::base::host_name::HostName).
    Get {
        /// The name.
        name: String,
        /// The stamp of what is known; 0 if nothing is.
        known: u64,
    },
}

/// How long an answer may take. A handshake waits for two seconds.
pub const PATIENCE: Duration = Duration::from_millis(1500);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Supplied {
    /// To `Connect`: the descriptor is the connection, on which answers are waited for no longer than [`PATIENCE`].
    Connection,
    /// Files, opened for reading: the descriptors are the certificate and, unless it is in the same file, the key.
    Files {
        /// It changes when one of the files is replaced, and is not 0.
        stamp: u64,
        /// The path of the certificate.
        certificate: Vec<u8>,
        /// The path of the key, if it is another one.
        key: Option<Vec<u8>>,
    },
    /// A certificate with a sealed key.
    Sealed {
        /// It changes when one of both is replaced, and is not 0.
        stamp: u64,
        /// Where it is, for messages.
        source: Vec<u8>,
        /// The name for which the key was sealed.
        name: String,
        /// PEM: the certificate with its chain.
        #[serde(with = "serde_bytes")]
        certificate: Vec<u8>,
        /// The sealed key.
        #[serde(with = "serde_bytes")]
        key: Vec<u8>,
    },
    /// What was there when the stamp was given.
    Same,
    /// Nothing.
    Nothing,
    /// What is there cannot be read, for this reason.
    Failed(String),
    /// The store cannot be asked, for this reason.
    Unreachable(String),
}
