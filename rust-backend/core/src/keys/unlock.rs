// SPDX-License-Identifier: Apache-2.0
//! Who is asked for the pass phrase of a private key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::key_process::parent::{OpenSource, PhraseOpener};
use crate::key_process::protocol::{self, Asking};
use crate::keys::encrypted_key::{EncryptedKey, SecretKey};
use crate::keys::identity::IdentityError;
use crate::keys::pass_phrase::{Dialog, Dialogs, PassPhrases, Question, Secret};
use crate::keys::phrase_source::{Patience, PhraseSource, UnlockError};
use crate::keys::program;

/// Who is asked for the pass phrase of a key. Nobody is asked for those of `TLSCertificate`.
#[derive(Clone, Copy, Debug)]
pub enum Unlock<'a> {
    /// Nobody.
    Nobody,
    /// A person or a program.
    Ask(&'a Asker<'a>),
}

/// Asks for the pass phrase of a key.
#[derive(Debug)]
pub struct Asker<'a> {
    /// The pass phrases that were right for other keys.
    pub known: &'a PassPhrases,
    /// The dialogs of the process.
    pub dialogs: &'a Arc<Dialogs>,
    /// Whom to ask.
    pub dialog: Dialog,
    /// The virtual host, as `name:port`.
    pub server: String,
    /// The index of the key in the virtual host, starting at 0.
    pub number: usize,
}

impl Unlock<'_> {
    /// Decrypts the key in the file `path` with the content `pem`.
    pub(crate) fn decrypt(&self, path: &Path, pem: &[u8]) -> Result<SecretKey, IdentityError> {
        let Self::Ask(asker) = self else {
            return Err(IdentityError::EncryptedKey(path.to_owned()));
        };
        asker
            .decrypt(path, pem)
            .map_err(|why| IdentityError::Locked(path.to_owned(), why))
    }

    /// How `tls-keyd` asks for the PIN of the token with the object `path`.
    pub(crate) fn pin_opener(&self, path: &Path) -> Arc<dyn PhraseOpener> {
        match self {
            Self::Nobody => Arc::new(NoPin),
            Self::Ask(asker) => Arc::new(asker.opener(path, Secret::Pin)),
        }
    }

    /// How `tls-keyd` asks for the pass phrase of the key in the file `path`.
    pub(crate) fn opener(&self, path: &Path) -> Result<Arc<dyn PhraseOpener>, IdentityError> {
        match self {
            Self::Nobody => Err(IdentityError::EncryptedKey(path.to_owned())),
            Self::Ask(asker) => Ok(Arc::new(asker.opener(path, Secret::PassPhrase))),
        }
    }
}

impl Asker<'_> {
    fn decrypt(&self, path: &Path, pem: &[u8]) -> Result<SecretKey, String> {
        let key = EncryptedKey::find(pem)
            .ok_or("its PEM block cannot be read")?
            .map_err(|error| error.to_string())?;
        if let Some(outcome) = self.known.unlock(&key) {
            return outcome.map_err(|error| error.to_string());
        }
        let question = Question {
            secret: Secret::PassPhrase,
            server: &self.server,
            number: self.number,
            file: path,
        };
        let patience = Patience {
            limit: program::limit(),
            client: None,
        };
        let (secret, phrase) = self.dialogs.with(&self.dialog, &question, |source| {
            source.unlock(&key, &question.prompt(), &patience)
        })?;
        self.known.add(phrase);
        Ok(secret)
    }

    fn opener(&self, path: &Path, secret: Secret) -> DialogOpener {
        DialogOpener {
            secret,
            dialogs: Arc::clone(self.dialogs),
            dialog: self.dialog.clone(),
            server: self.server.clone(),
            number: self.number,
            file: path.to_owned(),
        }
    }
}

/// Opens the source of a pass phrase for `tls-keyd`.
#[derive(Debug)]
struct DialogOpener {
    secret: Secret,
    dialogs: Arc<Dialogs>,
    dialog: Dialog,
    server: String,
    number: usize,
    file: PathBuf,
}

impl PhraseOpener for DialogOpener {
    fn with(&self, ask: &mut dyn FnMut(&OpenSource) -> Result<(), String>) -> Result<(), String> {
        let question = Question {
            secret: self.secret,
            server: &self.server,
            number: self.number,
            file: &self.file,
        };
        let outcome = self.dialogs.with(&self.dialog, &question, |source| {
            let open = OpenSource {
                asking: Asking {
                    source: match source {
                        PhraseSource::Terminal(_) => protocol::PhraseSource::Terminal,
                        PhraseSource::Program(_) => protocol::PhraseSource::Program,
                        PhraseSource::Conversation(..) => protocol::PhraseSource::Conversation,
                    },
                    prompt: question.prompt(),
                    limit: program::limit().map(|limit| limit.as_secs()),
                },
                descriptors: source.copies().map_err(UnlockError::NoAnswer)?,
            };
            ask(&open).map_err(|why| UnlockError::NoAnswer(std::io::Error::other(why)))
        });
        outcome.map_err(|why| match self.secret {
            Secret::PassPhrase => why,
            Secret::Pin => format!("{why}, or {PIN_SOURCE}"),
        })
    }
}

/// How a PIN can be told without a question.
const PIN_SOURCE: &str = "name a file that has it by pin-source=/path/to/file in the URI";

/// Nobody is asked for PINs.
#[derive(Debug)]
struct NoPin;

impl PhraseOpener for NoPin {
    fn with(&self, _: &mut dyn FnMut(&OpenSource) -> Result<(), String>) -> Result<(), String> {
        Err(format!("nobody is asked for it here: {PIN_SOURCE}"))
    }
}
