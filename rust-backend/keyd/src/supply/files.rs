// SPDX-License-Identifier: Apache-2.0
//! Stores of files.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mod_tls_core::base::file_reading::{self, FileError, Opened};
use mod_tls_core::base::host_name::HostName;
use mod_tls_core::base::stamp::Stamp;
use mod_tls_core::key_process::supply::Supplied;
use mod_tls_core::keys::store_pattern::{Pattern, StorePatterns};

use super::Answer;

/// Certificates in files.
pub(super) struct FileStore(StorePatterns);

impl FileStore {
    /// The error is why a pattern is none.
    pub(super) fn new(certificate: &str, key: Option<&str>) -> Result<Self, String> {
        Ok(Self(StorePatterns {
            certificate: Pattern::parse(certificate)?,
            key: key.map(Pattern::parse).transpose()?,
        }))
    }

    /// Opens the files for a name, unless they are those with the stamp `known`.
    pub(super) fn get(&self, name: &HostName, known: u64) -> Answer {
        self.open(name, known).unwrap_or_else(|error| match error.is_absence() {
            true => Supplied::Nothing.into(),
            false => Supplied::Failed(error.to_string()).into(),
        })
    }

    fn open(&self, name: &HostName, known: u64) -> Result<Answer, FileError> {
        let (certificate_path, key_path) = self.0.paths(name);
        if known != 0 && Stamp::of(std::iter::once(&certificate_path).chain(&key_path))?.to_bits() == known {
            return Ok(Supplied::Same.into());
        }
        let certificate = file_reading::open(&certificate_path)?;
        let key = key_path.as_deref().map(file_reading::open).transpose()?;
        let opened: Vec<Opened> = std::iter::once(certificate).chain(key).collect();
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let supplied = Supplied::Files {
            stamp: Stamp::of_files(opened.iter().map(|opened| opened.stamp)).to_bits(),
            certificate: bytes(&certificate_path),
            key: key_path.as_deref().map(bytes),
        };
        Ok(Answer {
            supplied,
            descriptors: opened.into_iter().map(|opened| OwnedFd::from(opened.file)).collect(),
        })
    }
}
