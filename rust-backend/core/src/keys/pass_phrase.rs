// SPDX-License-Identifier: Apache-2.0
//! Pass phrases of private keys, and the dialogs that ask for them: `SSLPassPhraseDialog`.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use crate::keys::encrypted_key::{DecryptError, EncryptedKey, SecretKey};
use crate::keys::phrase_source::{PhraseSource, UnlockError};
use crate::keys::program::Program;

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

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The pass phrase of a key.
    PassPhrase,
    /// The PIN of a token.
    Pin,
}

impl Secret {
    fn name(self) -> &'static str {
        match self {
            Self::PassPhrase => "pass phrase",
            Self::Pin => "PIN",
        }
    }
}

/// The key whose pass phrase is requested.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What is asked for.
    pub secret: Secret,
    /// The virtual host, as `name:port`.
    pub server: &'a str,
    /// The index of the key in the virtual host, starting at 0.
    pub number: usize,
    /// The key file, or the name of the key in its token.
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

    /// The text that asks for the pass phrase.
    pub fn prompt(&self) -> String {
        format!(
            "Private key {}:{} ({})\nEnter {}:",
            self.server,
            self.number,
            self.file.display(),
            self.secret.name()
        )
    }
}

pub(crate) type PassPhrase = Zeroizing<String>;

/// Known pass phrases, which are tried for each key before somebody is asked. An administrator types them once at startup;
/// reloads use them again.
#[derive(Default)]
pub struct PassPhrases(Mutex<Vec<PassPhrase>>);

impl fmt::Debug for PassPhrases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassPhrases").finish_non_exhaustive()
    }
}

impl PassPhrases {
    /// Decrypts `key` with a known pass phrase. None if none of them is right.
    pub fn unlock(&self, key: &EncryptedKey) -> Option<Result<SecretKey, DecryptError>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = known.iter().map(|phrase| key.decrypt(phrase.as_bytes()));
        outcomes.find(|outcome| !matches!(outcome, Err(DecryptError::WrongPassPhrase)))
    }

    /// Adds a pass phrase that was right.
    pub fn add(&self, phrase: PassPhrase) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(phrase);
    }

    /// Removes all pass phrases. Child processes have the keys and do not need them.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The dialogs of the process.
#[derive(Debug, Default)]
pub struct Dialogs {
    /// A program that has not answered its last question yet.
    conversation: Mutex<Option<Program>>,
}

impl Dialogs {
    /// Opens the source of pass phrases, has `ask` ask there, and closes it. The error says why there is no answer.
    pub fn with<T>(
        &self,
        dialog: &Dialog,
        question: &Question<'_>,
        ask: impl FnOnce(&mut PhraseSource) -> Result<T, UnlockError>,
    ) -> Result<T, String> {
        let outcome = match dialog {
            Dialog::Builtin => open_terminal().and_then(|mut terminal| ask(&mut terminal)),
            Dialog::Exec(program) => run(program, question, ask),
            Dialog::Pipe(command) => self.converse(command, ask),
        };
        outcome.map_err(|error| match error {
            UnlockError::Decrypt(error) => error.to_string(),
            UnlockError::NoAnswer(error) => dialog.describe(question.secret, &error),
        })
    }

    fn converse<T>(
        &self,
        command: &[String],
        ask: impl FnOnce(&mut PhraseSource) -> Result<T, UnlockError>,
    ) -> Result<T, UnlockError> {
        let mut slot = self.conversation.lock().unwrap_or_else(PoisonError::into_inner);
        let mut program = match slot.take() {
            Some(going_on) => going_on,
            None => Program::conversing(command).map_err(UnlockError::NoAnswer)?,
        };
        let outcome = ask(&mut program.source);
        if !matches!(outcome, Err(UnlockError::NoAnswer(_))) {
            *slot = Some(program);
        }
        outcome
    }

    /// Ends the conversation with a program.
    pub fn finish(&self) {
        *self.conversation.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Dialog {
    /// Why there was no answer.
    fn describe(&self, secret: Secret, error: &dyn fmt::Display) -> String {
        match self {
            Self::Builtin => format!(
                "its {} cannot be asked for, because there is no terminal ({error}): say SSLPassPhraseDialog exec:/path/to/program",
                secret.name()
            ),
            Self::Exec(program) => format!("SSLPassPhraseDialog exec:{}: {error}", program.display()),
            Self::Pipe(command) => format!("SSLPassPhraseDialog |{}: {error}", command.join(" ")),
        }
    }
}

fn open_terminal() -> Result<PhraseSource, UnlockError> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    terminal.map(PhraseSource::Terminal).map_err(UnlockError::NoAnswer)
}

/// Runs a program for one key.
fn run<T>(
    program: &Path,
    question: &Question<'_>,
    ask: impl FnOnce(&mut PhraseSource) -> Result<T, UnlockError>,
) -> Result<T, UnlockError> {
    let args = [question.server, &question.kind()];
    let mut program = Program::printing(program, &args).map_err(UnlockError::NoAnswer)?;
    let outcome = ask(&mut program.source);
    if !matches!(outcome, Err(UnlockError::NoAnswer(_))) {
        program.has_answered();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::phrase_source::Patience;
    use crate::keys::program;

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

    /// The answer of a dialog.
    fn answer(dialogs: &Dialogs, dialog: &Dialog, number: usize) -> Result<String, String> {
        let question = Question {
            secret: Secret::PassPhrase,
            server: "www.example.org:443",
            number,
            file: Path::new("key.pem"),
        };
        let patience = Patience {
            limit: program::limit(),
            client: None,
        };
        let ask = |source: &mut PhraseSource| source.ask(&question.prompt(), &patience).map_err(UnlockError::NoAnswer);
        dialogs.with(dialog, &question, ask).map(|phrase| phrase.to_string())
    }

    #[test]
    fn answers() {
        let dialogs = Dialogs::default();
        let echo = Dialog::Exec("/bin/echo".into());
        assert_eq!(answer(&dialogs, &echo, 0).unwrap(), "www.example.org:443 RSA");
        assert_eq!(answer(&dialogs, &echo, 3).unwrap(), "www.example.org:443 3");
        assert!(answer(&dialogs, &Dialog::Exec("/bin/true".into()), 0).is_err());
        // The prompt consists of two lines, so the second answer is the second line of the first prompt.
        let cat = Dialog::Pipe(vec!["/bin/cat".to_owned()]);
        let first = answer(&dialogs, &cat, 1).unwrap();
        assert!(first.starts_with("Private key www.example.org:443:1"), "{first}");
        assert_eq!(answer(&dialogs, &cat, 1).unwrap(), "Enter pass phrase:");
        dialogs.finish();
        assert!(answer(&dialogs, &Dialog::Pipe(vec!["/bin/true".to_owned()]), 1).is_err());
    }
}
