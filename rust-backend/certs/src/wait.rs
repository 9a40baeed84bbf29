// SPDX-License-Identifier: Apache-2.0
//! `tls-certs wait` and `tls-certs reload`: whether a running server uses what is in files now.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::config::catalogue::{Catalogue, CertificateEntry};
use mod_tls_core::key_process::inquiry::FileState;
use serde::Serialize;

use crate::Outcome;
use crate::command_line::{Targets, Wait};
use crate::output::{CertificateJson, Output, Time, expiry};
use crate::server::Server;
use crate::stores::{LOOKS_WITHIN, Stored};
use crate::targets::{self, Found};

const TIME_IS_UP: &str = "the time is up";

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_millis(100);

/// The result.
#[derive(Debug, Serialize)]
struct Waited {
    ok: bool,
    certificates: Vec<Awaited>,
    #[serde(skip)]
    now: i64,
}

/// What became of the files of a certificate.
#[derive(Debug, Serialize)]
struct Awaited {
    certificate_file: PathBuf,
    state: State,
    /// Since when it is used, or when it was refused.
    since: Option<Time>,
    /// Why it is not used.
    why: Option<String>,
    /// The certificate that is used.
    certificate: Option<CertificateJson>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Used,
    /// It is looked up in a store when a client asks for it.
    OnDemand,
    Refused,
    /// The time was up.
    Pending,
    /// The server does not watch the files.
    NotWatched,
}

/// The files that a server was told to look at.
#[derive(Debug, Serialize)]
struct Looked {
    certificate_files: Vec<PathBuf>,
}

pub(crate) fn reload(options: &Targets, socket: Option<&Path>, output: Output) -> Result<Outcome, String> {
    let mut server = Server::connect(socket)?;
    let catalogue = server.catalogue()?;
    let Some(found) = found(&catalogue, options) else {
        return Ok(Outcome::Problem);
    };
    let slots: Vec<u32> = found.slots.into_iter().collect();
    if let Some(why) = not_watched(&catalogue, &slots) {
        eprintln!("tls-certs: {why}");
        return Ok(Outcome::Problem);
    }
    server.look(&slots)?;
    let entries = slots.iter().filter_map(|slot| catalogue.certificate(*slot));
    let files = entries.map(|entry| entry.source().to_owned());
    // The server looks into stores all the time.
    let stored = found.stored.into_iter().map(|one| one.certificate_file);
    output.print(&Looked {
        certificate_files: files.chain(stored).collect(),
    })?;
    Ok(Outcome::Fine)
}

pub(crate) fn run(options: &Wait, socket: Option<&Path>, output: Output) -> Result<Outcome, String> {
    let end = Instant::now() + options.timeout;
    let mut server = Server::connect(socket)?;
    loop {
        let outcome = wait(&mut server, options, output, end);
        if outcome.is_ok() || Instant::now() >= end {
            return outcome;
        }
        // httpd, or the process that serves the socket, is just being replaced.
        sleep(INTERVAL);
        if let Ok(another) = Server::connect(socket) {
            server = another;
        }
    }
}

fn wait(server: &mut Server, options: &Wait, output: Output, end: Instant) -> Result<Outcome, String> {
    let mut is_told = false;
    loop {
        // It may be another one after a reload of the server, with other numbers.
        let catalogue = server.catalogue()?;
        let Some(found) = found(&catalogue, &options.targets) else {
            return Ok(Outcome::Problem);
        };
        let slots: Vec<u32> = found.slots.into_iter().collect();
        if let Some(why) = not_watched(&catalogue, &slots) {
            eprintln!("tls-certs: {why}");
            return Ok(Outcome::Problem);
        }
        if !std::mem::replace(&mut is_told, true) {
            server.look(&slots)?;
        }
        let Some(states) = settled(server, &slots, end)? else {
            continue;
        };
        let catalogue = server.catalogue()?;
        let certificates = slots.iter().zip(states);
        let certificates: Vec<_> = certificates
            .map(|(slot, state)| Awaited::new(catalogue.certificate(*slot), state))
            .chain(found.stored.into_iter().map(|one| Awaited::stored(one, end)))
            .collect();
        let waited = Waited {
            ok: certificates
                .iter()
                .all(|one| matches!(one.state, State::Used | State::OnDemand)),
            certificates,
            now: unix_now(),
        };
        output.print(&waited)?;
        return Ok(if waited.ok { Outcome::Fine } else { Outcome::Problem });
    }
}

/// The certificates that the command is about. None if that was said to be a problem.
fn found(catalogue: &Catalogue, options: &Targets) -> Option<Found> {
    targets::find(catalogue, &options.targets, unix_now())
        .inspect_err(|why| eprintln!("tls-certs: {why}"))
        .ok()
}

/// Why the server does not notice changes of these certificates.
fn not_watched(catalogue: &Catalogue, slots: &[u32]) -> Option<String> {
    if !catalogue.is_watching {
        return Some(
            "the server does not watch files (TLSWatch off): reload httpd to use renewed certificates".to_owned(),
        );
    }
    let entries = slots.iter().filter_map(|slot| catalogue.certificate(*slot));
    let in_token = entries.into_iter().find(|entry| !entry.is_watched)?;
    Some(format!(
        "{}: certificates and keys in tokens are not watched: reload httpd to use renewed ones",
        in_token.source().display()
    ))
}

/// What became of the files, or where it stands when the time is up. None if the server has other numbers now.
fn settled(server: &mut Server, slots: &[u32], end: Instant) -> Result<Option<Vec<FileState>>, String> {
    loop {
        let states = server.states(slots)?;
        let is_late = Instant::now() >= end;
        if states.contains(&FileState::Unknown) && !is_late {
            sleep(INTERVAL);
            return Ok(None);
        }
        if is_late || !states.contains(&FileState::Pending) {
            return Ok(Some(states));
        }
        sleep(INTERVAL);
    }
}

impl Awaited {
    /// What a store has. Waits until each process of the server has looked, unless the time is up.
    fn stored(stored: Stored, end: Instant) -> Self {
        let state = match &stored.problem {
            Some(_) => State::Refused,
            None => loop {
                match unix_now() > stored.changed + LOOKS_WITHIN {
                    true => break State::OnDemand,
                    false if Instant::now() >= end => break State::Pending,
                    false => sleep(INTERVAL),
                }
            },
        };
        let late = (state == State::Pending).then(|| TIME_IS_UP.to_owned());
        Self {
            certificate_file: stored.certificate_file,
            state,
            since: None,
            why: stored.problem.or(late),
            certificate: stored.certificate,
        }
    }

    fn new(entry: Option<&CertificateEntry>, state: FileState) -> Self {
        let (state, since, why) = match state {
            FileState::Used(since) => (State::Used, Some(Time(since)), None),
            FileState::Refused(since, why) => (State::Refused, Some(Time(since)), Some(why)),
            FileState::Pending => (State::Pending, None, Some(TIME_IS_UP.to_owned())),
            FileState::Unknown => (State::NotWatched, None, Some("the server does not watch it".to_owned())),
        };
        let facts = entry.and_then(|entry| entry.facts.as_ref());
        Self {
            certificate_file: entry.map(|entry| entry.source().to_owned()).unwrap_or_default(),
            state,
            since,
            why,
            certificate: facts.map(|facts| CertificateJson::new(facts, unix_now())),
        }
    }
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.certificate_files {
            writeln!(f, "{}: looked at", file.display())?;
        }
        Ok(())
    }
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for one in &self.certificates {
            let file = one.certificate_file.display();
            let end = one
                .certificate
                .as_ref()
                .map(|certificate| expiry(certificate.not_after.0, self.now));
            let end = end.unwrap_or_else(|| "unknown".to_owned());
            let why = one.why.as_deref().unwrap_or_default();
            match (one.state, one.since) {
                (State::OnDemand, _) => writeln!(f, "{file}: used when a client asks for it, expires {end}")?,
                (State::Used, Some(since)) => writeln!(f, "{file}: used since {since}, expires {end}")?,
                (State::Refused, Some(since)) => {
                    writeln!(
                        f,
                        "{file}: NOT USED, refused at {since}: {why}; the one that is used expires {end}"
                    )?;
                }
                _ if one.certificate.is_none() => writeln!(f, "{file}: NOT USED: {why}")?,
                _ => writeln!(f, "{file}: NOT USED: {why}; the one that is used expires {end}")?,
            }
        }
        Ok(())
    }
}
