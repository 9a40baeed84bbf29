// SPDX-License-Identifier: Apache-2.0
//! The messages between `tls-certs` and the process that watches. They are frames as those of the [protocol].

use serde::{Deserialize, Serialize};

use super::protocol;

/// The maximum length of a frame from the tool.
pub const MAX_INQUIRY: usize = 4 * 1024;

/// The maximum length of a frame to the tool.
pub const MAX_RESPONSE: usize = 1024 * 1024;

/// The most identities that one inquiry can name.
pub const MAX_SLOTS: usize = 256;

/// What the tool asks. It names identities by the numbers in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inquiry {
    /// For the catalogue.
    Catalogue,
    /// To look at the files of these identities now, and to read them again if their last renewal was refused.
    Look(Vec<u32>),
    /// What became of the files of these identities as they are now.
    States(Vec<u32>),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// The catalogue is the descriptor that comes with the frame.
    Catalogue,
    /// httpd's parent process was asked for the catalogue: ask again.
    NotYet,
    /// The files are looked at.
    Looking,
    /// What became of the files, in the same sequence.
    States(Vec<FileState>),
    /// The inquiry cannot be answered, for this reason.
    Refused(String),
}

/// What became of the files of an identity as they are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileState {
    /// There is no such identity any longer, or its files are not watched.
    Unknown,
    /// They have changed, and were not read yet.
    Pending,
    /// They are used, since this time in seconds since 1970.
    Used(i64),
    /// They were refused at this time, for this reason.
    Refused(i64, String),
}

/// Why a frame of another version is refused.
pub const OTHER_VERSION: &str = "tls-certs is of another version of mod_tls: restart httpd after an update, and use the tls-certs \
                                 that was installed with it";

/// Whether the frame is of another version of the protocol.
pub fn is_other_version(frame: &[u8]) -> bool {
    frame.get(4).is_some_and(|version| *version != protocol::VERSION)
}
