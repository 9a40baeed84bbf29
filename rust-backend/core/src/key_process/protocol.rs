// SPDX-License-Identifier: Apache-2.0
//! The messages between httpd's processes and `tls-keyd`.
//!
//! There are two kinds of connection. On the *control* connection, httpd's parent process gives [orders](Order), which
//! `tls-keyd` answers in the same sequence. On the others, threads of child processes send [requests](Request) to use keys.
//! A message that contains a key does not exist.
//!
//! Each message is a frame: its length (32 bits, little-endian, of everything that follows), the [version](VERSION), and the
//! message in the encoding of postcard.

use serde::{Deserialize, Serialize};

use crate::base::diagnostics::Severity;
use crate::crypto::digest;

/// The version of the protocol. The program and the module are installed together; a frame of another version is refused. A
/// future version may be spoken to a signer on another machine.
pub const VERSION: u8 = 1;

/// The maximum length of a frame from or to a child process. The longest message that is signed is the transcript of a TLS 1.2
/// handshake with a backend.
pub const MAX_FRAME: usize = 128 * 1024;

/// The maximum length of a frame on the control connection.
pub const MAX_CONTROL_FRAME: usize = 64 * 1024 * 1024;

/// The maximum size of a file with certificates and keys.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The maximum number of descriptors that come with a frame. Linux allows 253.
pub const MAX_DESCRIPTORS: usize = 128;

/// The number of a key. httpd's parent process assigns it; it is not used again.
pub type KeyId = u64;

/// The number of a key in a store of certificates, by its SubjectPublicKeyInfo. The others are below.
pub fn key_number(public: &[u8]) -> KeyId {
    let digest = digest::digest(&digest::SHA256, public);
    let start = digest.as_ref().first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(start) | 1 << 63
}

/// What a key is used for. A key for one purpose does not sign for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Towards clients, as a server.
    Server,
    /// Towards backends, as a client.
    Client,
}

/// A request of a child process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// To sign `message`, which is not hashed yet.
    Sign {
        /// The key.
        key: KeyId,
        /// The number of the signature scheme (RFC 8446 section 4.2.3).
        scheme: u16,
        /// What TLS signs: see [`is_permitted`](super::permitted::is_permitted).
        message: &'a [u8],
    },
    /// To look up the certificate for a name in a store.
    Lookup {
        /// The number of the store.
        store: u32,
        /// The name, a [`HostName`](crate::base::host_name::HostName).
        name: &'a str,
        /// The stamp of what is known; 0 if nothing is.
        known: u64,
    },
    /// To report how keys were used.
    Report,
    /// To answer.
    Ping,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The signature, in the encoding of TLS.
    Signature(&'a [u8]),
    /// There is no signature.
    Refused(Refusal),
    /// What is in the store.
    Found(Found),
    /// How keys were used.
    Report(Report),
    /// It is alive.
    Pong {
        /// Whether there are messages for the error log, which httpd's parent process gets by [`Order::Ping`].
        has_messages: bool,
    },
}

/// Why `tls-keyd` does not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It does not have the key.
    UnknownKey,
    /// The key does not sign by this scheme.
    Scheme,
    /// The message is none that TLS signs with such a key.
    NotAHandshake,
    /// Signing has failed: the key is damaged, or its token is away.
    Failed,
}

/// What a lookup in a store of certificates has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// A certificate, whose key can be used now.
    Certificate(Stored),
    /// What was there when the stamp was given.
    Same,
    /// Nothing.
    Nothing,
    /// Something that cannot be used. The text names the source.
    Failed(String),
    /// The store cannot be asked, for this reason.
    Unreachable(String),
}

/// A certificate in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// It changes when the certificate or the key is replaced, and is not 0.
    pub stamp: u64,
    /// The file, or what else it is, for messages.
    pub source: Vec<u8>,
    /// PEM: the certificate and the intermediate certificates, without anything that may be secret.
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
    /// The key. Its number depends on its public part alone.
    pub key: KeyInfo,
}

/// How keys were used since `tls-keyd` was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The number of keys.
    pub keys: u64,
    /// The number of signatures.
    pub signatures: u64,
    /// The number of refused requests.
    pub refused: u64,
    /// The number of connections of child processes.
    pub connections: u64,
    /// The keys that were used most.
    pub most_used: Vec<KeyUse>,
}

/// How a key was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// The file or the token object.
    pub name: String,
    /// The number of signatures.
    pub signatures: u64,
    /// The number of signatures in the last complete minute.
    pub last_minute: u64,
}

/// Which keys of a file are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// None: only the certificates.
    None,
    /// The first one.
    First,
    /// All.
    All,
}

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOrder {
    /// Its path, for messages.
    pub path: Vec<u8>,
    /// The keys that are needed.
    pub wanted: Wanted,
    /// The number of the first key; the following keys have the following numbers.
    pub first_key: KeyId,
    /// What the keys are used for.
    pub purpose: Purpose,
}

/// Where a pass phrase comes from. The descriptors come with the frame, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhraseSource {
    /// A terminal: one descriptor for reading and writing.
    Terminal,
    /// A program that prints one: its output.
    Program,
    /// A program that reads prompts and prints answers: its input and its output.
    Conversation,
}

/// How to ask for a pass phrase or a PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// Where it comes from.
    pub source: PhraseSource,
    /// The prompt.
    pub prompt: String,
    /// The time limit in seconds; none if there is no limit.
    pub limit: Option<u64>,
}

/// An order of httpd's parent process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The first one. Its descriptor is the socket from which connections of child processes are received.
    Begin,
    /// To serve child processes: the keys that they know were read.
    Serve,
    /// To read files. There is one descriptor for each, opened for reading.
    Read(Vec<FileOrder>),
    /// To read a file with an encrypted key. The first descriptor is the file, those of `asking` follow.
    Unlock(FileOrder, Asking),
    /// To use the key in a token under this name, or (`certificates`) to return its certificate. The descriptors are those of
    /// `asking`.
    Token {
        /// The PKCS#11 URI (RFC 7512).
        uri: String,
        /// The number of the key; none to return certificates.
        key: Option<KeyId>,
        /// What the key is used for.
        purpose: Purpose,
        /// How to ask for the PIN; none to find out whether that is necessary.
        asking: Option<Asking>,
    },
    /// To derive the state of session tickets from a seed file, which is the descriptor, for sessions of this many seconds.
    Seed {
        /// The time, in seconds since 1970.
        now: i64,
        /// The lifetime of sessions in seconds.
        lifetime: u32,
    },
    /// These keys are no longer needed by the configuration. Child processes of an earlier one may still need them for a while.
    Release(Vec<KeyId>),
    /// These keys must not be used: their files have changed, so that they do not belong to their certificates.
    Forget(Vec<KeyId>),
    /// To answer requests on the socket that is the descriptor, which the process that watches has. It does not come through
    /// the door, where many may wait.
    Watched,
    /// The process to end with.
    Parent(u32),
    /// To answer, with the messages for the error log.
    Ping,
    /// The stores of certificates, in place of those of before. The descriptors of each are the socket to the process that looks
    /// into it and, if it says so, the file of its sealing keys.
    Stores(Vec<StoreOrder>),
    /// To end when no child process is connected any longer: another process takes over.
    Retire,
}

/// A store of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreOrder {
    /// Its number.
    pub number: u32,
    /// Whether keys are sealed in it: the path of the file of sealing keys.
    pub sealing_keys: Option<Vec<u8>>,
}

/// What was found of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Its number.
    pub id: KeyId,
    /// Its SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7).
    pub public: Vec<u8>,
    /// The numbers of its signature schemes, in the order of preference.
    pub schemes: Vec<u16>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Its text without anything that may be secret.
    #[serde(with = "serde_bytes")]
    pub text: Vec<u8>,
    /// Its keys, or why one cannot be used.
    pub keys: Vec<Result<KeyInfo, String>>,
    /// Whether there is an encrypted key that no known pass phrase opens.
    pub is_locked: bool,
}

/// The state of session tickets, from which the keys of its period and later ones are derived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketState {
    /// The number of the period.
    pub period: u64,
    /// The secret.
    pub state: [u8; 32],
}

/// The answer to an order. `Serve`, `Watched`, `Release`, `Forget`, `Parent`, `Stores` and `Retire` have none. Error texts name the file
/// and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To `Begin`: the process is ready, or it cannot run as it should for this reason, and ends.
    Begun(Result<(), String>),
    /// To `Read`: for each file, in the same order.
    Read(Vec<Result<FileContent, String>>),
    /// To `Unlock`, and to `Token` for a key.
    Key(Result<KeyInfo, String>),
    /// To `Token` for certificates: in DER, the issuers behind the certificate.
    Certificates(Result<Vec<Vec<u8>>, String>),
    /// To `Unlock` and `Token`: whoever was asked has not answered, for this reason.
    NoAnswer(String),
    /// To `Token`: the PIN has to be asked for.
    PinNeeded,
    /// To `Seed`: the size of the file, and the state unless it is too small. The error does not name the file.
    Seed(Result<(u64, Option<TicketState>), String>),
    /// To `Ping`.
    Pong(Vec<(Severity, String)>),
}

/// Appends `message` to `buffer` as a frame.
pub fn encode(message: &impl Serialize, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.push(VERSION);
    let frame = postcard::to_extend(message, std::mem::take(buffer)).expect("these messages can be encoded");
    *buffer = frame;
    let len = u32::try_from(buffer.len() - start - 4).expect("messages are shorter than 4 GiB");
    buffer[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// The length of the first frame in `data`, with its length field, as far as it is known. An error is returned if it is longer
/// than `max`.
pub fn frame_len(data: &[u8], max: usize) -> Result<Option<usize>, BadFrame> {
    let Some((len, _)) = data.split_first_chunk::<4>() else {
        return Ok(None);
    };
    match u32::from_le_bytes(*len) as usize {
        len if len == 0 || len > max => Err(BadFrame),
        len => Ok(Some(4 + len)),
    }
}

/// The message in a complete frame.
pub fn decode<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, BadFrame> {
    match frame.get(4..).and_then(<[u8]>::split_first) {
        Some((&VERSION, payload)) => match postcard::take_from_bytes(payload) {
            Ok((message, [])) => Ok(message),
            _ => Err(BadFrame),
        },
        _ => Err(BadFrame),
    }
}

/// A frame is too long, of another version, or not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame;

impl From<BadFrame> for std::io::Error {
    fn from(_: BadFrame) -> Self {
        Self::other(
            "a message of another version of tls-keyd: install the module and the program together, and restart httpd",
        )
    }
}
