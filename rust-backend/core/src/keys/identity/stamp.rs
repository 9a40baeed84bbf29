// SPDX-License-Identifier: Apache-2.0
//! Whether the files of an identity have changed.

use std::path::Path;
use std::sync::Arc;

use super::{IdentityError, IdentityFiles, hash_of};
use crate::base::file_reading::{FileError, FileStamp, Opened};
use crate::keys::key_file::{IdentityContent, KeyFile};

/// A digest of the stamps of an identity's files: the certificate file, the key file and the chain file. A change is
/// missed with a probability of 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp with this number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its number.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    fn new(certificate: FileStamp, key: Option<FileStamp>, chain: Option<FileStamp>) -> Self {
        Self(hash_of((certificate, key, chain)))
    }

    /// The stamp of files that were read. None if one is an object in a token.
    pub(super) fn of_content(content: &IdentityContent) -> Option<Self> {
        let optional = |file: &Option<KeyFile>| match file {
            Some(file) => file.stamp.map(Some),
            None => Some(None),
        };
        Some(Self::new(
            content.certificate.stamp?,
            optional(&content.key)?,
            optional(&content.chain)?,
        ))
    }

    /// The current stamp of the files of a certificate and its key.
    pub fn of_paths(certificate: &Path, key: Option<&Path>) -> Result<Self, FileError> {
        Ok(Self::new(
            FileStamp::of(certificate)?,
            key.map(FileStamp::of).transpose()?,
            None,
        ))
    }

    /// The stamp of these files.
    pub fn of_opened(certificate: &Opened, key: Option<&Opened>) -> Self {
        Self::new(certificate.stamp, key.map(|opened| opened.stamp), None)
    }

    /// The current stamp of `files`.
    pub fn of(files: &IdentityFiles) -> Result<Self, IdentityError> {
        let stamp = |path: &Path| FileStamp::of(path).map_err(IdentityError::File);
        let optional = |path: &Option<Arc<Path>>| path.as_deref().map(stamp).transpose();
        Ok(Self::new(
            stamp(&files.certificate)?,
            optional(&files.key)?,
            optional(&files.chain)?,
        ))
    }
}
