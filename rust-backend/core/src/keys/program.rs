// SPDX-License-Identifier: Apache-2.0
//! Programs that provide pass phrases.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::keys::phrase_source::PhraseSource;

/// The default time limit for an answer. It allows for a user who types the pass phrase.
const USUAL_LIMIT: Duration = Duration::from_secs(300);

/// The environment variable for another limit in seconds; 0 for none.
pub(crate) const LIMIT_VARIABLE: &str = "MOD_TLS_PASS_PHRASE_TIMEOUT";

/// The time that a program has to exit after its answer.
const TIME_TO_END: Duration = Duration::from_secs(5);

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

/// A running program, and the pipes to it. It is ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    pub(crate) source: PhraseSource,
    /// The time that it has to exit by itself.
    patience: Duration,
}

impl Program {
    /// Starts a program that prints one pass phrase.
    pub(crate) fn printing(program: &Path, args: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(program).args(args).stdout(Stdio::piped()).spawn()?;
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            source: PhraseSource::Program(File::from(OwnedFd::from(answers))),
            patience: Duration::ZERO,
        })
    }

    /// Starts a program that reads prompts from standard input and prints answers to standard output.
    pub(crate) fn conversing(command: &[String]) -> io::Result<Self> {
        let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let (questions, answers) = (OwnedFd::from(questions), OwnedFd::from(answers));
        Ok(Self {
            child,
            source: PhraseSource::Conversation(questions.into(), answers.into()),
            patience: Duration::ZERO,
        })
    }

    /// Lets the program, which has answered, exit by itself.
    pub(crate) fn has_answered(&mut self) {
        self.patience = TIME_TO_END;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let end = Instant::now() + self.patience;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::phrase_source::Patience;

    const SHORT: Option<Duration> = Some(Duration::from_millis(50));
    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    fn ask(program: &mut Program, prompt: &str, limit: Option<Duration>) -> Result<String, String> {
        let patience = Patience { limit, client: None };
        let answer = program.source.ask(prompt, &patience);
        answer.map(|line| line.to_string()).map_err(|error| error.to_string())
    }

    fn shell(script: &str, limit: Option<Duration>) -> Result<String, String> {
        ask(
            &mut Program::printing(Path::new("/bin/sh"), &["-c", script]).unwrap(),
            "",
            limit,
        )
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
        let mut silent = Program::conversing(&command).unwrap();
        assert!(ask(&mut silent, "?", SHORT).unwrap_err().contains("within"));
        drop(silent);
        assert!(begin.elapsed() < Duration::from_secs(50));
    }

    #[test]
    fn conversations_have_an_answer_for_each_question() {
        let command = ["/bin/cat".to_owned()];
        let mut echo = Program::conversing(&command).unwrap();
        for question in ["one", "two"] {
            assert_eq!(ask(&mut echo, question, LONG).unwrap(), question);
        }
    }
}
