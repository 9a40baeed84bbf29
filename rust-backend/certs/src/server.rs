// SPDX-License-Identifier: Apache-2.0
//! Asks a running server.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mod_tls_core::config::catalogue::Catalogue;
use mod_tls_core::key_process::channel::Channel;
use mod_tls_core::key_process::control::SOCKET;
use mod_tls_core::key_process::inquiry::{FileState, Inquiry, MAX_SLOTS, Response};

/// httpd's directory for sockets, as the build has found it.
const RUNTIME_DIR: Option<&str> = option_env!("TLS_RUNTIME_DIR");

/// Those of distributions.
const USUAL_DIRS: [&str; 4] = [
    "/run/apache2",
    "/run/httpd",
    "/usr/local/apache2/logs",
    "/var/run/apache2",
];

/// How long the server may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

/// How long httpd's parent process may take to make the catalogue. It may just read its configuration.
const CATALOGUE_LIMIT: Duration = Duration::from_secs(30);

/// How often it is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// A connection to a running server.
#[derive(Debug)]
pub(crate) struct Server {
    path: PathBuf,
    channel: Channel,
}

impl Server {
    /// Connects to the server with this socket, or to that in a usual directory.
    pub(crate) fn connect(socket: Option<&Path>) -> Result<Self, String> {
        let path = match socket {
            Some(path) => path.to_owned(),
            None => find()?,
        };
        let connect = || -> io::Result<UnixStream> {
            let stream = UnixStream::connect(&path)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            Ok(stream)
        };
        let stream = connect().map_err(|error| about_connecting(&path, &error))?;
        Ok(Self {
            channel: Channel::new(stream.into()),
            path,
        })
    }

    /// The catalogue as it is now.
    pub(crate) fn catalogue(&mut self) -> Result<Catalogue, String> {
        let start = Instant::now();
        while start.elapsed() < CATALOGUE_LIMIT {
            match self.ask(&Inquiry::Catalogue)? {
                Response::Catalogue => {
                    let file = self.channel.descriptor();
                    let catalogue = file.and_then(|file| Catalogue::read(file.as_fd()));
                    return catalogue.map_err(|error| format!("{}: {error}", self.path.display()));
                }
                Response::NotYet => sleep(AGAIN),
                other => return Err(self.unexpected(&other)),
            }
        }
        Err(format!(
            "{}: httpd's parent process has not answered for {} seconds: its error log may say why",
            self.path.display(),
            CATALOGUE_LIMIT.as_secs()
        ))
    }

    /// Has the files of these identities looked at.
    pub(crate) fn look(&mut self, slots: &[u32]) -> Result<(), String> {
        for slots in slots.chunks(MAX_SLOTS) {
            match self.ask(&Inquiry::Look(slots.to_vec()))? {
                Response::Looking => {}
                other => return Err(self.unexpected(&other)),
            }
        }
        Ok(())
    }

    /// What became of the files of these identities.
    pub(crate) fn states(&mut self, slots: &[u32]) -> Result<Vec<FileState>, String> {
        let mut all = Vec::new();
        for slots in slots.chunks(MAX_SLOTS) {
            match self.ask(&Inquiry::States(slots.to_vec()))? {
                Response::States(states) if states.len() == slots.len() => all.extend(states),
                other => return Err(self.unexpected(&other)),
            }
        }
        Ok(all)
    }

    fn ask(&mut self, inquiry: &Inquiry) -> Result<Response, String> {
        let sent = self.channel.send(inquiry, &[]);
        let answer = sent.and_then(|()| self.channel.receive(true));
        answer.map_err(|error| about_asking(&self.path, &error))
    }

    fn unexpected(&self, response: &Response) -> String {
        match response {
            Response::Refused(why) => format!("{}: {why}", self.path.display()),
            _ => format!("{}: an unexpected answer", self.path.display()),
        }
    }
}

/// Where the socket of the server of this machine may be.
fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for directory in RUNTIME_DIR.into_iter().chain(USUAL_DIRS) {
        let path = Path::new(directory).join(SOCKET);
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

fn find() -> Result<PathBuf, String> {
    let candidates = candidates();
    let there = candidates.iter().find(|path| path.symlink_metadata().is_ok());
    there.cloned().ok_or_else(|| {
        let texts: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        format!(
            "no running server was found: there is none of {}. {WITHOUT}",
            texts.join(", ")
        )
    })
}

/// What to do without a socket.
const WITHOUT: &str = "httpd makes the socket when it runs with tls-keyd (not with `TLSKeyProcess off` or `TLSControl off`), and \
                       --socket or TLS_CERTS_SOCKET names another place. `tls-certs check` works without a server, and \
                       `httpd -t -D DUMP_TLS` shows the certificates of a configuration";

fn about_connecting(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{path}: permission denied: only root may ask the server, and the members of a group that `TLSControl PATH group NAME` \
             names"
        ),
        io::ErrorKind::ConnectionRefused => format!("{path}: nobody is there: httpd does not run, or has just ended"),
        io::ErrorKind::NotFound => format!("{path}: no such socket. {WITHOUT}"),
        _ => format!("{path}: {error}"),
    }
}

fn about_asking(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => format!(
            "{path}: the server has closed the connection: this user may not ask it, or it was restarted, or it is of another \
             version of mod_tls"
        ),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("{path}: the server has not answered for {} seconds", LIMIT.as_secs())
        }
        _ => format!("{path}: {error}"),
    }
}
