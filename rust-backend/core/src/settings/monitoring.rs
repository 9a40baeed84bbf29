// SPDX-License-Identifier: Apache-2.0
//! Settings for what is reported about a running server: `TLSLogFailures`, `TLSLogFailuresLimit`, `TLSCounters`,
//! `TLSExpiryCommand`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::base::directive::{Directive, Located};

/// The default of `TLSLogFailuresLimit`.
const DEFAULT_LIMIT: u64 = 50;

/// Where the lines about failures go: `TLSLogFailures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureLog {
    /// To the end of this file.
    File(PathBuf),
    /// To the standard input of this command, in httpd's notation without the first `|`.
    Program(String),
}

/// Settings for what is reported.
#[derive(Clone, Debug, Default)]
pub struct MonitoringSettings {
    /// Where the lines about failures go, besides the error log.
    pub failures: Option<Located<FailureLog>>,
    /// The number of lines about failures with the same code in a minute.
    limit: Option<u64>,
    /// Whether handshakes and failures are not counted.
    pub is_not_counting: bool,
    /// The program that is told of certificates that expire, and its first arguments.
    pub expiry_command: Option<Located<Vec<String>>>,
}

impl FailureLog {
    /// Parses the argument. Relative paths start from `server_root`.
    pub(crate) fn parse(text: &str, server_root: &Path) -> Result<Self, String> {
        if let Some(program) = text.strip_prefix('|') {
            return match program.trim_start_matches(['|', '$']).trim() {
                "" => Err(
                    "takes a file, or | and a program such as \"|/usr/bin/rotatelogs logs/tls_failures 86400\""
                        .to_owned(),
                ),
                _ => Ok(Self::Program(program.to_owned())),
            };
        }
        let path = server_root.join(text);
        let directory = path.parent().unwrap_or(server_root);
        if !directory.is_dir() {
            return Err(format!(
                "{}: there is no directory {}: create it",
                path.display(),
                directory.display()
            ));
        }
        match path.is_dir() {
            true => Err(format!("takes a file, and {} is a directory", path.display())),
            false => Ok(Self::File(path)),
        }
    }
}

impl MonitoringSettings {
    /// The number of lines about failures with the same code in a minute.
    pub fn limit(&self) -> u64 {
        match self.limit {
            Some(0) => u64::MAX,
            set => set.unwrap_or(DEFAULT_LIMIT),
        }
    }

    /// Interprets one of the directives.
    pub(crate) fn interpret(&mut self, directive: &Directive, server_root: &Path) -> Result<(), String> {
        match directive.name.as_str() {
            "TLSLogFailures" => {
                let value = FailureLog::parse(directive.single()?, server_root)?;
                self.failures = Some(Located::new(directive, value));
            }
            "TLSCounters" => self.is_not_counting = !directive.flag()?,
            "TLSExpiryCommand" => {
                let value = command(&directive.words(), server_root)?;
                self.expiry_command = Some(Located::new(directive, value));
            }
            _ => {
                let word = directive.single()?;
                let limit = word.parse().ok().filter(|limit| *limit <= 1_000_000);
                self.limit = Some(limit.ok_or_else(|| {
                    format!("takes a number of lines from 1 to 1000000, or 0 for no limit, not \"{word}\"")
                })?);
            }
        }
        Ok(())
    }
}

/// A program and its arguments. The path of the program starts from `server_root`.
fn command(words: &[&str], server_root: &Path) -> Result<Vec<String>, String> {
    let (program, arguments) = words.split_first().ok_or("takes a program")?;
    let path = server_root.join(program);
    let is_executable = path
        .metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    if !is_executable {
        return Err(format!(
            "takes the path of a program, and {} is none: it must be a file that may be executed (chmod +x)",
            path.display()
        ));
    }
    let program = path.to_str().ok_or("takes a path in UTF-8")?;
    Ok([program]
        .iter()
        .chain(arguments)
        .map(|word| (*word).to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let root = Path::new("/");
        assert_eq!(
            command(&["bin/sh", "-c"], root),
            Ok(vec!["/bin/sh".to_owned(), "-c".to_owned()])
        );
        for wrong in ["etc/passwd", "etc", "no/such"] {
            assert!(command(&[wrong], root).unwrap_err().contains(wrong));
        }
        assert!(command(&[], root).is_err());
    }

    #[test]
    fn where_to() {
        let parse = |text| FailureLog::parse(text, Path::new("/"));
        assert_eq!(parse("etc/no-such"), Ok(FailureLog::File("/etc/no-such".into())));
        assert_eq!(parse("|/bin/cat -u"), Ok(FailureLog::Program("/bin/cat -u".to_owned())));
        assert_eq!(parse("|$cat"), Ok(FailureLog::Program("$cat".to_owned())));
        assert!(parse("|").is_err() && parse("|$ ").is_err());
        assert!(parse("tmp").unwrap_err().contains("is a directory"));
        assert!(
            parse("nowhere/x")
                .unwrap_err()
                .contains("there is no directory /nowhere: create it")
        );
    }
}
