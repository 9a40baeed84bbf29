// SPDX-License-Identifier: Apache-2.0
//! Reading of the files that httpd's parent process has opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mod_tls_core::base::file_reading::{self, FileError};
use mod_tls_core::crypto::{self, key_kind};
use mod_tls_core::key_process::parent::MAX_KEYS;
use mod_tls_core::key_process::protocol::{
    self, Answer, Asking, FileContent, FileOrder, KeyId, KeyInfo, MAX_FILE, Purpose, TicketState, Wanted,
};
use mod_tls_core::keys::deferred_key::DeferredKey;
use mod_tls_core::keys::encrypted_key::{EncryptedKey, SecretKey};
use mod_tls_core::keys::pass_phrase::PassPhrases;
use mod_tls_core::keys::phrase_source::{Patience, PhraseSource, UnlockError};
use mod_tls_core::keys::sealing::SealingKeys;
use mod_tls_core::session::tickets::{MIN_SEED, RatchetState};
use mod_tls_core::x509::pem;
use zeroize::Zeroizing;

use crate::keys::Keys;

/// The longest text of certificates in a store, which has to fit in a frame.
const MAX_STORED: usize = 64 * 1024;

/// Reads files, and adds the keys in them.
pub(crate) struct Reader {
    pub(crate) keys: Arc<Keys>,
    pub(crate) phrases: PassPhrases,
}

/// Reads an open file.
fn bytes_of(descriptor: OwnedFd) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::from(descriptor);
    let size = file.metadata()?.len();
    if size > MAX_FILE {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    file_reading::read_open(file, size)
}

/// Reads the open file `path`. The error names it.
fn content(path: &Path, descriptor: OwnedFd) -> Result<Zeroizing<Vec<u8>>, String> {
    let path = path.to_owned();
    bytes_of(descriptor).map_err(|error| FileError { path, error }.to_string())
}

fn path_of(order: &FileOrder) -> Arc<Path> {
    Path::new(OsStr::from_bytes(&order.path)).into()
}

impl Reader {
    /// Reads a file and adds its keys that are wanted.
    pub(crate) fn read(&self, order: &FileOrder, descriptor: OwnedFd) -> Result<FileContent, String> {
        let path = path_of(order);
        let bytes = content(&path, descriptor)?;
        let bundle = pem::parse(&bytes).map_err(|error| error.about(&path))?;
        let wanted = match order.wanted {
            Wanted::None => 0,
            Wanted::First => 1,
            Wanted::All => MAX_KEYS as usize,
        };
        let found = bundle.keys.into_iter().take(wanted).enumerate();
        let mut keys: Vec<_> = found
            .map(|(at, key)| self.add(order.first_key + at as KeyId, &path, order, key))
            .collect();
        let mut is_locked = false;
        if bundle.encrypted_key && (order.wanted == Wanted::All || order.wanted == Wanted::First && keys.is_empty()) {
            match self.unlock_again(&bytes) {
                Some(key) if order.wanted == Wanted::First => keys.push(self.add(order.first_key, &path, order, key)),
                _ => is_locked = true,
            }
        }
        Ok(FileContent {
            text: pem::public_part(&bytes),
            keys,
            is_locked,
        })
    }

    /// The encrypted key in a file, if a pass phrase opens it that has opened another one.
    fn unlock_again(&self, text: &[u8]) -> Option<SecretKey> {
        let key = EncryptedKey::find(text)?.ok()?;
        self.phrases.unlock(&key)?.ok()
    }

    /// Reads a file with an encrypted key, asks for its pass phrase, and adds the key.
    pub(crate) fn unlock(
        &self,
        order: &FileOrder,
        asking: &Asking,
        file: OwnedFd,
        source: &mut PhraseSource,
        client: BorrowedFd<'_>,
    ) -> Answer {
        let path = path_of(order);
        let find = || -> Result<EncryptedKey, String> {
            let bytes = content(&path, file)?;
            let key = EncryptedKey::find(&bytes).ok_or("its PEM block cannot be read")?;
            key.map_err(|error| error.to_string())
        };
        let key = match find() {
            Ok(key) => key,
            Err(why) => return Answer::Key(Err(why)),
        };
        match source.unlock(&key, &asking.prompt, &patience(asking, client)) {
            Ok((secret, phrase)) => {
                self.phrases.add(phrase);
                Answer::Key(self.add(order.first_key, &path, order, secret))
            }
            Err(UnlockError::NoAnswer(error)) => Answer::NoAnswer(error.to_string()),
            Err(UnlockError::Decrypt(error)) => Answer::Key(Err(error.to_string())),
        }
    }

    fn add(&self, id: KeyId, path: &Arc<Path>, order: &FileOrder, key: SecretKey) -> Result<KeyInfo, String> {
        self.add_numbered(|_| id, path, order.purpose, key)
    }

    /// Adds a key for `purpose` with a number that may depend on its SubjectPublicKeyInfo.
    fn add_numbered(
        &self,
        number: impl FnOnce(&[u8]) -> KeyId,
        path: &Arc<Path>,
        purpose: Purpose,
        key: SecretKey,
    ) -> Result<KeyInfo, String> {
        match DeferredKey::new(key, path, self.keys.log_queue()) {
            Ok((key, public)) => Ok(self.keys.add_deferred(number(&public), path, purpose, key, public)),
            Err(der) => {
                let key = crypto::signing_key(&der).map_err(|_| key_kind::why_unusable(&der))?;
                let public = key.public_key();
                let id = number(public.as_ref().map(AsRef::as_ref).unwrap_or_default());
                Ok(self.keys.add(id, path, purpose, key))
            }
        }
    }

    /// Reads a certificate of a store and adds its key, which is in the second file if it has a path. Returns the certificates
    /// as PEM. The error names the file.
    pub(crate) fn read_stored(
        &self,
        certificate: &Path,
        key: Option<&Path>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Vec<u8>, KeyInfo), String> {
        let mut descriptors = descriptors.into_iter();
        let mut next = |path: &Path| {
            let missing = || format!("{}: it was not handed over", path.display());
            content(path, descriptors.next().ok_or_else(missing)?)
        };
        let bytes = next(certificate)?;
        match key {
            Some(path) => self.parse_stored(certificate, &bytes, path, &next(path)?),
            None => self.parse_stored(certificate, &bytes, certificate, &bytes),
        }
    }

    /// The same for what is in memory. The paths are for messages.
    pub(crate) fn parse_stored(
        &self,
        certificate: &Path,
        bytes: &[u8],
        path: &Path,
        key: &[u8],
    ) -> Result<(Vec<u8>, KeyInfo), String> {
        let text = pem::public_part(bytes);
        if text.len() > MAX_STORED {
            return Err(format!(
                "{}: it has more than {} KiB of certificates",
                certificate.display(),
                MAX_STORED >> 10
            ));
        }
        let bundle = pem::parse(key).map_err(|error| error.about(path))?;
        let is_encrypted = bundle.encrypted_key;
        let Some(secret) = bundle.keys.into_iter().next() else {
            let why = match is_encrypted {
                true => {
                    "the private key is encrypted, and nobody can be asked for its pass phrase during a handshake: decrypt it"
                }
                false => "there is no private key in it",
            };
            return Err(format!("{}: {why}", path.display()));
        };
        let name: Arc<Path> = path.into();
        let info = self.add_numbered(protocol::key_number, &name, Purpose::Server, secret);
        info.map(|info| (text, info))
            .map_err(|why| format!("{}: {why}", path.display()))
    }
}

/// How long to wait for an answer, unless `client` hangs up.
pub(crate) fn patience<'a>(asking: &Asking, client: BorrowedFd<'a>) -> Patience<'a> {
    Patience {
        limit: asking.limit.map(Duration::from_secs),
        client: Some(client),
    }
}

/// The source of pass phrases that these descriptors are.
pub(crate) fn phrase_source(
    kind: protocol::PhraseSource,
    mut descriptor: impl FnMut() -> io::Result<OwnedFd>,
) -> io::Result<PhraseSource> {
    Ok(match kind {
        protocol::PhraseSource::Terminal => PhraseSource::Terminal(descriptor()?.into()),
        protocol::PhraseSource::Program => PhraseSource::Program(descriptor()?.into()),
        protocol::PhraseSource::Conversation => PhraseSource::Conversation(descriptor()?.into(), descriptor()?.into()),
    })
}

/// Reads a file of sealing keys.
pub(crate) fn sealing_keys(path: &[u8], file: OwnedFd) -> Result<SealingKeys, String> {
    let path = Path::new(OsStr::from_bytes(path));
    SealingKeys::parse(&content(path, file)?).map_err(|why| format!("{}: {why}", path.display()))
}

/// Derives the state of session tickets from a seed file. None if the file is too small. The error does not name it.
pub(crate) fn ticket_state(file: OwnedFd, now: i64, lifetime: u32) -> Result<(u64, Option<TicketState>), String> {
    let seed = bytes_of(file).map_err(|error| error.to_string())?;
    let state = (seed.len() >= MIN_SEED).then(|| RatchetState::from_seed(&seed, lifetime, now));
    let state = state.map(|state| TicketState {
        period: state.period,
        state: *state.state,
    });
    Ok((seed.len() as u64, state))
}
