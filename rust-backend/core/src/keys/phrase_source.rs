// SPDX-License-Identifier: Apache-2.0
//! Open sources of pass phrases: a terminal, or the pipes of a program.
//!
//! A source consists of descriptors alone. The process that has opened it may hand them to `tls-keyd`, which asks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::keys::encrypted_key::{DecryptError, EncryptedKey, SecretKey};
use crate::keys::pass_phrase::PassPhrase;
use crate::keys::program::LIMIT_VARIABLE;

/// The maximum length of an answer.
pub(crate) const MAX_ANSWER: usize = 1024;

/// How often wrong answers are followed by another question.
const RETRIES: usize = 5;

/// An open source of pass phrases.
#[derive(Debug)]
pub enum PhraseSource {
    /// A terminal.
    Terminal(File),
    /// The output of a program that prints one pass phrase.
    Program(File),
    /// The input and the output of a program that reads prompts and prints answers.
    Conversation(File, File),
}

/// Limits of a question.
#[derive(Clone, Copy, Debug)]
pub struct Patience<'a> {
    /// How long a program may take; none for no limit.
    pub limit: Option<Duration>,
    /// A connection: if it is closed, nobody waits for the answer any longer.
    pub client: Option<BorrowedFd<'a>>,
}

impl PhraseSource {
    /// Copies of the descriptors, in the order in which `tls-keyd` expects them.
    pub(crate) fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        let files = match self {
            Self::Terminal(file) | Self::Program(file) => vec![file],
            Self::Conversation(questions, answers) => vec![questions, answers],
        };
        files
            .into_iter()
            .map(|file| file.as_fd().try_clone_to_owned())
            .collect()
    }

    /// Asks once.
    pub fn ask(&mut self, prompt: &str, patience: &Patience<'_>) -> io::Result<PassPhrase> {
        match self {
            Self::Terminal(file) => ask_at_terminal(file, prompt, patience),
            Self::Program(answers) => next_line(answers, patience),
            Self::Conversation(questions, answers) => {
                // A program that answers without reading may have exited already; its answer is still available.
                let _ = writeln!(questions, "{prompt}").and_then(|()| questions.flush());
                next_line(answers, patience)
            }
        }
    }

    /// Asks until the pass phrase decrypts `key`. A program that prints one pass phrase is asked once.
    pub fn unlock(
        &mut self,
        key: &EncryptedKey,
        prompt: &str,
        patience: &Patience<'_>,
    ) -> Result<(SecretKey, PassPhrase), UnlockError> {
        let attempts = if matches!(self, Self::Program(_)) { 1 } else { RETRIES };
        for attempt in 1..=attempts {
            let phrase = self.ask(prompt, patience).map_err(UnlockError::NoAnswer)?;
            match key.decrypt(phrase.as_bytes()) {
                Ok(secret) => return Ok((secret, phrase)),
                Err(DecryptError::WrongPassPhrase) if attempt < attempts => {}
                Err(error) => return Err(UnlockError::Decrypt(error)),
            }
        }
        Err(UnlockError::Decrypt(DecryptError::WrongPassPhrase))
    }
}

/// Why a key stays encrypted.
#[derive(Debug)]
pub enum UnlockError {
    /// There was no answer.
    NoAnswer(io::Error),
    /// The answers do not decrypt it.
    Decrypt(DecryptError),
}

/// A terminal that does not show what is typed. Dropping it restores the terminal.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

fn ask_at_terminal(terminal: &mut File, prompt: &str, patience: &Patience<'_>) -> io::Result<PassPhrase> {
    let mut writer = terminal.try_clone()?;
    let silent = Silent::new(terminal)?;
    write!(writer, "{prompt}")?;
    // A person may take all the time that is needed.
    let patience = Patience {
        limit: None,
        ..*patience
    };
    next_line(&mut silent.terminal.try_clone()?, &patience)
}

/// The next line, without its line end. An incomplete last line counts as a line. Nothing behind the line is read, because the
/// next line may be read by another process.
fn next_line(source: &mut File, patience: &Patience<'_>) -> io::Result<PassPhrase> {
    let deadline = patience.limit.map(|limit| Instant::now() + limit);
    // It never grows, which would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER + 1));
    loop {
        if line.len() > MAX_ANSWER {
            return Err(io::Error::other(format!(
                "the program has printed a line of more than {MAX_ANSWER} bytes, which is not a pass phrase"
            )));
        }
        wait(source.as_fd(), deadline, patience)?;
        let mut byte = Zeroizing::new([0]);
        match source.read(&mut byte[..])? {
            0 if line.is_empty() => return Err(io::Error::other("the program has printed no pass phrase")),
            0 => break,
            _ if byte[0] == b'\n' => break,
            _ => line.push(byte[0]),
        }
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::other("the output of the program is not UTF-8"))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Waits until data is available.
fn wait(source: BorrowedFd<'_>, deadline: Option<Instant>, patience: &Patience<'_>) -> io::Result<()> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left
            .map(Timespec::try_from)
            .transpose()
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        // The end of a connection is reported even if it is not asked for.
        let client = patience.client.unwrap_or(source);
        let mut sources = [
            PollFd::from_borrowed_fd(source, PollFlags::IN),
            PollFd::from_borrowed_fd(client, PollFlags::empty()),
        ];
        match poll(&mut sources, timeout.as_ref()) {
            Ok(0) => {
                let seconds = patience.limit.unwrap_or_default().as_secs();
                return Err(io::Error::other(format!(
                    "the program has printed no pass phrase within {seconds} seconds: try it by hand; if it needs more time, \
                     set the environment variable {LIMIT_VARIABLE} to a number of seconds, or to 0 for no limit"
                )));
            }
            Ok(_) if patience.client.is_some() && !sources[1].revents().is_empty() => {
                return Err(io::Error::other("httpd has ended"));
            }
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
