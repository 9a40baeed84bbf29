// SPDX-License-Identifier: Apache-2.0
//! Programs that provide pass phrases, and time limits for their answers.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::keys::pass_phrase::PassPhrase;

/// The default time limit for an answer. It allows for a user who types the pass phrase.
const USUAL_LIMIT: Duration = Duration::from_secs(300);

/// The environment variable for another limit in seconds; 0 for none.
const LIMIT_VARIABLE: &str = "MOD_TLS_PASS_PHRASE_TIMEOUT";

/// The time that a program has to exit after its answer.
const TIME_TO_END: Duration = Duration::from_secs(5);

/// The maximum length of an answer.
const MAX_ANSWER: usize = 1024;

/// The time limit for an answer; `None` for no limit.
pub(crate) fn limit() -> Option<Duration> {
    parse_limit(std::env::var(LIMIT_VARIABLE).ok().as_deref())
}

fn parse_limit(text: Option<&str>) -> Option<Duration> {
    match text.and_then(|text| text.parse().ok()) {
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => Some(USUAL_LIMIT),
    }
}

/// The first line of the output of `program` with the arguments `args`.
pub(crate) fn answer_of(program: &Path, args: &[&str], limit: Option<Duration>) -> io::Result<PassPhrase> {
    let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn()?;
    let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let line = Answers::new(answers, limit).next_line();
    let patience = if line.is_ok() { TIME_TO_END } else { Duration::ZERO };
    end(&mut child, patience);
    line
}

/// Waits until a program has exited, and kills it after `patience`.
fn end(child: &mut Child, patience: Duration) {
    let end = Instant::now() + patience;
    while let Ok(None) = child.try_wait() {
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program that reads prompts from standard input and prints answers to standard output.
pub(crate) struct Conversation {
    child: Child,
    questions: ChildStdin,
    answers: Answers,
}

impl Conversation {
    pub(crate) fn begin(command: &[String], limit: Option<Duration>) -> io::Result<Self> {
        let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            questions,
            answers: Answers::new(answers, limit),
        })
    }

    pub(crate) fn ask(&mut self, prompt: &str) -> io::Result<PassPhrase> {
        // A program that answers without reading may have exited already; its answer is still available.
        let _ = writeln!(self.questions, "{prompt}").and_then(|()| self.questions.flush());
        self.answers.next_line()
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        end(&mut self.child, Duration::ZERO);
    }
}

/// The output lines of a program.
struct Answers {
    pipe: ChildStdout,
    /// Data that was read but not yet returned.
    read: Zeroizing<Vec<u8>>,
    limit: Option<Duration>,
}

impl Answers {
    fn new(pipe: ChildStdout, limit: Option<Duration>) -> Self {
        Self {
            pipe,
            read: Zeroizing::new(Vec::with_capacity(2 * MAX_ANSWER)),
            limit,
        }
    }

    /// The next line, without its line end. An incomplete last line counts as a line.
    fn next_line(&mut self) -> io::Result<PassPhrase> {
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        let mut buffer = Zeroizing::new([0; MAX_ANSWER]);
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                return self.take(end + 1);
            }
            if self.read.len() >= MAX_ANSWER {
                return Err(io::Error::other(format!(
                    "the program has printed a line of more than {MAX_ANSWER} bytes, which is not a pass phrase"
                )));
            }
            self.wait(deadline)?;
            match self.pipe.read(&mut buffer[..])? {
                0 if self.read.is_empty() => {
                    return Err(io::Error::other("the program has printed no pass phrase"));
                }
                0 => return self.take(self.read.len()),
                len => self.read.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// Removes the first `len` bytes and returns them as a line.
    fn take(&mut self, len: usize) -> io::Result<PassPhrase> {
        let line = std::str::from_utf8(&self.read[..len])
            .map_err(|_| io::Error::other("the output of the program is not UTF-8"))?;
        let line = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
        let rest = self.read.len() - len;
        self.read.copy_within(len.., 0);
        self.read.truncate(rest);
        Ok(line)
    }

    /// Waits until data is available.
    fn wait(&self, deadline: Option<Instant>) -> io::Result<()> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let timeout = left
                .map(Timespec::try_from)
                .transpose()
                .map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut pipe = [PollFd::new(&self.pipe, PollFlags::IN)];
            match poll(&mut pipe, timeout.as_ref()) {
                Ok(0) => {
                    let seconds = self.limit.unwrap_or_default().as_secs();
                    return Err(io::Error::other(format!(
                        "the program has printed no pass phrase within {seconds} seconds: try it by hand; if it needs more \
                         time, set the environment variable {LIMIT_VARIABLE} to a number of seconds, or to 0 for no limit"
                    )));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_millis(50));
    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    fn shell(script: &str, limit: Option<Duration>) -> Result<String, String> {
        let answer = answer_of(Path::new("/bin/sh"), &["-c", script], limit);
        answer.map(|line| line.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn limits() {
        assert_eq!(parse_limit(None), Some(USUAL_LIMIT));
        assert_eq!(parse_limit(Some("nonsense")), Some(USUAL_LIMIT));
        assert_eq!(parse_limit(Some("7")), Some(Duration::from_secs(7)));
        assert_eq!(parse_limit(Some("0")), None);
    }

    #[test]
    fn answers_end_with_the_line_or_the_program() {
        assert_eq!(shell("echo one; echo two", LONG).unwrap(), "one");
        assert_eq!(shell("printf 'one\\r\\n'", LONG).unwrap(), "one");
        assert_eq!(shell("printf on; sleep 0.1; printf e", None).unwrap(), "one");
        assert_eq!(shell("echo", LONG).unwrap(), "");
        assert!(shell("true", LONG).unwrap_err().contains("no pass phrase"));
        assert!(shell("printf '\\377\\n'", LONG).unwrap_err().contains("UTF-8"));
        assert!(shell("yes | tr -d '\\n'", LONG).unwrap_err().contains("more than"));
    }

    #[test]
    fn who_never_answers_is_given_up() {
        let begin = Instant::now();
        let error = shell("printf on; exec sleep 100", SHORT).unwrap_err();
        assert!(
            error.contains("within 0 seconds") && error.contains(LIMIT_VARIABLE),
            "{error}"
        );
        // The pipe is held open by a child of the program.
        assert!(shell("sleep 100 & exit", SHORT).unwrap_err().contains("within"));
        let command = ["/bin/sleep", "100"].map(str::to_owned);
        let mut silent = Conversation::begin(&command, SHORT).unwrap();
        assert!(silent.ask("?").unwrap_err().to_string().contains("within"));
        drop(silent);
        assert!(begin.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn conversations_have_an_answer_for_each_question() {
        let command = ["/bin/cat".to_owned()];
        let mut echo = Conversation::begin(&command, LONG).unwrap();
        for question in ["one", "two"] {
            assert_eq!(&*echo.ask(question).unwrap(), question);
        }
    }
}
