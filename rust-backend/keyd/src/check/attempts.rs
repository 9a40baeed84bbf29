// SPDX-License-Identifier: Apache-2.0
//! Attempts to do what must no longer work, and what must.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::UdpSocket;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

#[cfg(any(feature = "aws-lc", feature = "fips"))]
use rustls::crypto::aws_lc_rs as provider;
#[cfg(feature = "ring")]
use rustls::crypto::ring as provider;

use crate::lockdown::{Needs, Step};

/// What an attempt should lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Should {
    Work,
    BeRefused,
    /// Tokens may need it.
    Either,
}

/// What an attempt led to.
pub(super) struct Outcome(io::Result<()>);

impl Outcome {
    pub(super) fn is_as_it_should_be(&self, should: Should) -> bool {
        match should {
            Should::Work => self.0.is_ok(),
            Should::BeRefused => self.is_refused(),
            Should::Either => true,
        }
    }

    fn is_refused(&self) -> bool {
        self.0
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(()) => f.write_str("works"),
            Err(error) if self.is_refused() => write!(f, "refused: {error}"),
            Err(error) => write!(f, "failed: {error}"),
        }
    }
}

/// One attempt: what it is, what it should lead to, and the function that makes it.
pub(super) type Attempt = (&'static str, Should, fn() -> Outcome);

/// All attempts that can be made after `steps`.
pub(super) fn all(needs: &Needs, steps: &[Step]) -> Vec<Attempt> {
    use Should::{BeRefused, Either, Work};
    let outside = if needs.tokens { Either } else { BeRefused };
    let mut attempts: Vec<Attempt> = vec![
        ("read a file", outside, read_file),
        ("write to a file", outside, write_file),
        ("open a network socket", outside, open_socket),
        ("signal another process", BeRefused, send_signal),
        ("start a process", BeRefused, start_process),
        ("keys and random numbers in a thread", Work, compute),
    ];
    // If nothing refuses it, this is the end of this program.
    if steps.iter().rev().take(2).any(|step| step.missing.is_none()) {
        attempts.push(("execute a program", BeRefused, execute));
    }
    attempts
}

fn read_file() -> Outcome {
    Outcome(File::open("/etc/passwd").map(drop))
}

fn write_file() -> Outcome {
    Outcome(OpenOptions::new().write(true).open("/dev/null").map(drop))
}

fn open_socket() -> Outcome {
    Outcome(UdpSocket::bind("127.0.0.1:0").map(drop))
}

/// Asks only whether a signal to the parent would be allowed.
fn send_signal() -> Outcome {
    let Some(parent) = rustix::process::getppid() else {
        return Outcome(Err(io::ErrorKind::NotFound.into()));
    };
    Outcome(rustix::process::test_kill_process(parent).map_err(io::Error::from))
}

fn start_process() -> Outcome {
    let child = Command::new("/bin/true").spawn();
    Outcome(child.and_then(|mut child| child.wait()).map(drop))
}

fn execute() -> Outcome {
    Outcome(Err(Command::new("/bin/false").exec()))
}

/// What tls-keyd is for has to work: threads, memory, random numbers, arithmetic.
fn compute() -> Outcome {
    let signer = thread::Builder::new().name("tls-keyd check".to_owned()).spawn(|| {
        let groups = provider::default_provider().kx_groups;
        groups.iter().try_for_each(|group| group.start().map(drop))
    });
    Outcome(signer.and_then(|signer| match signer.join() {
        Ok(result) => result.map_err(io::Error::other),
        Err(_) => Err(io::Error::other("the thread panicked")),
    }))
}
