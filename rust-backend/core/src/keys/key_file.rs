// SPDX-License-Identifier: Apache-2.0
//! Files with private keys: read by this process, or by `tls-keyd`, which keeps the keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::base::file_reading::{self, Content, Exposure, FileError, FileStamp};
use crate::base::log_queue::LogQueue;
use crate::base::stamp::Stamp;
use crate::key_process::parent::{FileRequest, KeyProcess, OpenedKey, ReadFile};
use crate::key_process::protocol::{Purpose, Wanted};
use crate::keys::identity::{IdentityError, IdentityFiles};
use crate::keys::pkcs11_uri::{PinSource, Pkcs11Uri};
use crate::keys::unlock::Unlock;
use crate::x509::pem;

/// Who reads files with private keys.
#[derive(Clone, Copy, Debug)]
pub enum KeyReader<'a> {
    /// This process. With a queue, keys of common kinds are parsed when they are first needed, and errors are logged there.
    Here(Option<&'a Arc<LogQueue>>),
    /// `tls-keyd`. The keys are for this purpose.
    Process(&'a KeyProcess, Purpose),
}

/// What a file is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A certificate, perhaps with its key.
    Certificate,
    /// A key.
    Key,
}

/// The content of a file.
#[derive(Debug)]
pub(crate) struct KeyFile {
    /// The text. If `tls-keyd` has read the file, it has no private keys.
    pub(crate) text: Zeroizing<Vec<u8>>,
    pub(crate) exposure: Exposure,
    /// None for objects in a token.
    pub(crate) stamp: Option<FileStamp>,
    /// The keys that `tls-keyd` has read.
    pub(crate) there: Option<KeysThere>,
}

/// The keys of a file that `tls-keyd` has read.
#[derive(Debug)]
pub(crate) struct KeysThere {
    /// The keys, or why one cannot be used.
    pub(crate) keys: Vec<Result<OpenedKey, String>>,
    /// Whether there is an encrypted key that no known pass phrase opens.
    pub(crate) is_locked: bool,
}

impl From<Content> for KeyFile {
    fn from(content: Content) -> Self {
        Self {
            text: content.bytes,
            exposure: content.exposure,
            stamp: Some(content.stamp),
            there: None,
        }
    }
}

/// What is known of a file before `tls-keyd` has read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    exposure: Exposure,
    stamp: FileStamp,
}

impl KeyFile {
    pub(crate) fn there(facts: Facts, read: ReadFile) -> Self {
        Self {
            text: Zeroizing::new(read.text),
            exposure: facts.exposure,
            stamp: Some(facts.stamp),
            there: Some(KeysThere {
                keys: read.keys,
                is_locked: read.is_locked,
            }),
        }
    }

    /// Whether the key is encrypted, and `tls-keyd` knows no pass phrase for it.
    pub(crate) fn is_locked(&self) -> bool {
        self.there.as_ref().is_some_and(|there| there.is_locked)
    }

    /// An object in the token that `path` names.
    fn in_token(path: &Path, text: String, keys: Vec<Result<OpenedKey, String>>) -> Self {
        // If the file of the PIN is not there, the token has said so or does not need it.
        let exposure = pin_file(path).and_then(|file| Exposure::of_file(&file).ok());
        Self {
            text: Zeroizing::new(text.into_bytes()),
            exposure: exposure.unwrap_or_default(),
            stamp: None,
            there: Some(KeysThere { keys, is_locked: false }),
        }
    }
}

/// The PKCS#11 URI (RFC 7512) that stands for an object in a token, where a directive expects a file.
pub(crate) fn token_uri(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| Pkcs11Uri::is_one(text))
}

/// The file with the PIN of the token that `path` names.
pub(crate) fn pin_file(path: &Path) -> Option<PathBuf> {
    match Pkcs11Uri::parse(token_uri(path)?).ok()?.pin {
        Some(PinSource::File(file)) => Some(file),
        _ => None,
    }
}

/// Opens a file for `tls-keyd`.
pub(crate) fn request(path: &Arc<Path>, wanted: Wanted, purpose: Purpose) -> Result<(FileRequest, Facts), FileError> {
    let opened = file_reading::open(path)?;
    let facts = Facts {
        exposure: opened.exposure,
        stamp: opened.stamp,
    };
    let request = FileRequest {
        path: Arc::clone(path),
        file: opened.file,
        wanted,
        purpose,
    };
    Ok((request, facts))
}

impl KeyReader<'_> {
    /// Reads a file that holds this part of an identity, and those of its keys that are wanted. A name of PKCS#11 stands for an
    /// object in a token. `unlock` is asked for the PIN.
    pub(crate) fn read(
        &self,
        path: &Arc<Path>,
        part: Part,
        wanted: Wanted,
        unlock: &Unlock<'_>,
    ) -> Result<KeyFile, IdentityError> {
        if let Some(uri) = token_uri(path) {
            return self.read_token(path, uri, part, wanted, unlock);
        }
        let (process, purpose) = match *self {
            Self::Here(_) => return Ok(file_reading::read_stamped(path).map_err(IdentityError::File)?.into()),
            Self::Process(process, purpose) => (process, purpose),
        };
        let (request, facts) = request(path, wanted, purpose).map_err(IdentityError::File)?;
        let mut outcome = Err("it was not read".to_owned());
        process
            .read(std::iter::once(request), |read| outcome = read)
            .map_err(IdentityError::Process)?;
        Ok(KeyFile::there(facts, outcome.map_err(IdentityError::Process)?))
    }

    fn read_token(
        &self,
        path: &Arc<Path>,
        uri: &str,
        part: Part,
        wanted: Wanted,
        unlock: &Unlock<'_>,
    ) -> Result<KeyFile, IdentityError> {
        let uri: Arc<str> = uri.into();
        let Self::Process(process, purpose) = *self else {
            return Err(IdentityError::InToken(uri.to_string()));
        };
        let opener = unlock.pin_opener(path);
        let text = match part {
            Part::Key => String::new(),
            Part::Certificate => {
                let found = process
                    .token_certificates(&uri, &opener)
                    .map_err(IdentityError::Process)?;
                found.iter().map(|der| pem::certificate(der)).collect()
            }
        };
        let keys = match wanted {
            Wanted::None => Vec::new(),
            Wanted::First | Wanted::All => {
                vec![Ok(process
                    .token_key(&uri, purpose, &opener)
                    .map_err(IdentityError::Process)?)]
            }
        };
        Ok(KeyFile::in_token(path, text, keys))
    }

    /// Reads the files of an identity.
    pub(crate) fn read_all(
        &self,
        files: &IdentityFiles,
        unlock: &Unlock<'_>,
    ) -> Result<IdentityContent, IdentityError> {
        let read = |path: &Arc<Path>, part, wanted| self.read(path, part, wanted, unlock);
        let (key, chain) = (files.key.as_ref(), files.chain.as_ref());
        Ok(IdentityContent {
            certificate: read(&files.certificate, Part::Certificate, files.wanted_beside_certificate())?,
            key: key.map(|path| read(path, Part::Key, Wanted::First)).transpose()?,
            chain: chain
                .map(|path| read(path, Part::Certificate, Wanted::None))
                .transpose()?,
        })
    }
}

/// The files of an identity.
#[derive(Debug)]
pub(crate) struct IdentityContent {
    pub(crate) certificate: KeyFile,
    /// None if the key is in the certificate file.
    pub(crate) key: Option<KeyFile>,
    pub(crate) chain: Option<KeyFile>,
}

impl IdentityContent {
    /// The file with the key.
    pub(crate) fn key_file(&self) -> &KeyFile {
        self.key.as_ref().unwrap_or(&self.certificate)
    }

    /// The stamp of the files. None if one is an object in a token.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let files = std::iter::once(&self.certificate).chain(&self.key).chain(&self.chain);
        let stamps: Option<Vec<_>> = files.map(|file| file.stamp).collect();
        stamps.map(Stamp::of_files)
    }
}
