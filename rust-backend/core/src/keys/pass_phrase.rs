// SPDX-License-Identifier: Apache-2.0
//! Pass phrases of private keys, and the dialogs that ask for them: `SSLPassPhraseDialog`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::keys::encrypted_key::{DecryptError, EncryptedKey, SecretKey};
use crate::keys::program::{self, Conversation};

/// The number of wrong answers that are allowed at the terminal.
const RETRIES: usize = 5;

/// The source of pass phrases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialog {
    /// The terminal from which httpd was started.
    #[default]
    Builtin,
    /// A program that is run for each key and prints its pass phrase.
    Exec(PathBuf),
    /// A program that reads prompts and prints answers.
    Pipe(Vec<String>),
}

impl Dialog {
    /// Parses the argument of `SSLPassPhraseDialog`. Relative paths are relative to `server_root`.
    pub fn parse(text: &str, server_root: &Path) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("builtin") {
            return Ok(Self::Builtin);
        }
        let program = |name: &str| {
            let path = server_root.join(name);
            match path.is_file() {
                true => Ok(path),
                false => Err(format!("{text}: {} is not a program", path.display())),
            }
        };
        if let Some(path) = text.strip_prefix("exec:") {
            return Ok(Self::Exec(program(path)?));
        }
        if let Some(command) = text.strip_prefix('|') {
            let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            let first = words.first_mut().ok_or("|: which program?")?;
            *first = program(first)?.display().to_string();
            return Ok(Self::Pipe(words));
        }
        Err(format!(
            "takes builtin, exec:/path/to/program or |/path/to/program, not \"{text}\""
        ))
    }
}

/// The key whose pass phrase is requested.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The virtual host, as `name:port`.
    pub server: &'a str,
    /// The index of the key in the virtual host, starting at 0.
    pub number: usize,
    /// The key file.
    pub file: &'a Path,
}

impl Question<'_> {
    /// The description of the key for programs. The format is that of mod_ssl; the words stand for numbers and do not
    /// depend on the kind of key.
    fn kind(&self) -> String {
        match self.number {
            0 => "RSA".to_owned(),
            1 => "DSA".to_owned(),
            2 => "ECC".to_owned(),
            number => number.to_string(),
        }
    }

    fn prompt(&self) -> String {
        format!(
            "Private key {}:{} ({})\nEnter pass phrase:",
            self.server,
            self.number,
            self.file.display()
        )
    }
}

pub(crate) type PassPhrase = Zeroizing<String>;

/// Known pass phrases, which are tried for each key before a dialog is used. An administrator types them once at
/// startup; reloads use them again.
#[derive(Default)]
pub struct PassPhrases {
    known: Mutex<Vec<PassPhrase>>,
    pipe: Mutex<Option<Conversation>>,
}

impl fmt::Debug for PassPhrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassPhrases").finish_non_exhaustive()
    }
}

impl PassPhrases {
    /// Decrypts `key` with a known pass phrase, or with one from `dialog`. The error describes why this is not
    /// possible.
    pub fn unlock(&self, dialog: &Dialog, question: &Question<'_>, key: &EncryptedKey) -> Result<SecretKey, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for phrase in known.iter() {
            match key.decrypt(phrase.as_bytes()) {
                Err(DecryptError::WrongPassPhrase) => {}
                other => return other.map_err(|error| error.to_string()),
            }
        }
        let attempts = match dialog {
            Dialog::Exec(_) => 1,
            Dialog::Builtin | Dialog::Pipe(_) => RETRIES,
        };
        for attempt in 1..=attempts {
            let phrase = self.ask(dialog, question)?;
            match key.decrypt(phrase.as_bytes()) {
                Err(DecryptError::WrongPassPhrase) if attempt < attempts => {}
                Err(error) => return Err(error.to_string()),
                Ok(secret) => {
                    known.push(phrase);
                    return Ok(secret);
                }
            }
        }
        Err(DecryptError::WrongPassPhrase.to_string())
    }

    fn ask(&self, dialog: &Dialog, question: &Question<'_>) -> Result<PassPhrase, String> {
        match dialog {
            Dialog::Builtin => rpassword::prompt_password(question.prompt())
                .map(Zeroizing::new)
                .map_err(|error| {
                    format!(
                        "its pass phrase cannot be asked for, because there is no terminal ({error}): say \
                         SSLPassPhraseDialog exec:/path/to/program"
                    )
                }),
            Dialog::Exec(program) => run(program, question)
                .map_err(|error| format!("SSLPassPhraseDialog exec:{}: {error}", program.display())),
            Dialog::Pipe(command) => self
                .converse(command, question)
                .map_err(|error| format!("SSLPassPhraseDialog |{}: {error}", command.join(" "))),
        }
    }

    fn converse(&self, command: &[String], question: &Question<'_>) -> io::Result<PassPhrase> {
        let mut slot = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let conversation = match &mut *slot {
            Some(going_on) => going_on,
            None => slot.insert(Conversation::begin(command, program::limit())?),
        };
        let answer = conversation.ask(&question.prompt());
        if answer.is_err() {
            *slot = None;
        }
        answer
    }

    /// Ends the conversation with a program.
    pub fn finish(&self) {
        *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Removes all pass phrases. Child processes have the keys and do not need them.
    pub fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs a program for one key and returns its output.
fn run(program: &Path, question: &Question<'_>) -> io::Result<PassPhrase> {
    program::answer_of(program, &[question.server, &question.kind()], program::limit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialogs() {
        let root = Path::new("/");
        assert_eq!(Dialog::parse("Builtin", root), Ok(Dialog::Builtin));
        assert_eq!(Dialog::parse("exec:bin/sh", root), Ok(Dialog::Exec("/bin/sh".into())));
        assert_eq!(
            Dialog::parse("|/bin/sh -c x", root),
            Ok(Dialog::Pipe(vec![
                "/bin/sh".to_owned(),
                "-c".to_owned(),
                "x".to_owned()
            ]))
        );
        for wrong in ["", "exec:", "|", "exec:/nothing/there", "/bin/sh"] {
            assert!(Dialog::parse(wrong, root).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers() {
        let question = |number| Question {
            server: "www.example.org:443",
            number,
            file: Path::new("key.pem"),
        };
        assert_eq!(
            &*run(Path::new("/bin/echo"), &question(0)).unwrap(),
            "www.example.org:443 RSA"
        );
        assert_eq!(
            &*run(Path::new("/bin/echo"), &question(3)).unwrap(),
            "www.example.org:443 3"
        );
        assert!(run(Path::new("/bin/true"), &question(0)).is_err());
        let phrases = PassPhrases::default();
        // The first prompt consists of two lines, so the third answer belongs to the next prompt.
        let command = ["/bin/cat".to_owned()];
        assert!(
            phrases
                .converse(&command, &question(1))
                .unwrap()
                .starts_with("Private key www.example.org:443:1")
        );
        phrases.finish();
        assert!(phrases.converse(&["/bin/true".to_owned()], &question(1)).is_err());
    }
}
