// SPDX-License-Identifier: Apache-2.0
//! The socket by which `tls-certs` asks a running server.
//!
//! httpd's parent process makes it, because the process that serves it, the one that watches, has given up the right to do so.
//! It is a file with an owner and a mode; the process that serves it looks at the users of connections as well.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{Mode, fchmod};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use serde::Serialize;

use super::parent::KeyProcess;
use super::protocol;
use crate::base::diagnostics::Severity;
use crate::base::lock::lock;
use crate::base::memory_file;

/// The name of the socket in httpd's directory for such files.
pub const SOCKET: &str = "tls-certs.sock";

/// How many connections may wait.
const QUEUE: i32 = 16;

/// How much may be appended to a catalogue before another one is made.
const MAX_CHANGES: u64 = 8 * 1024 * 1024;

/// Where the socket is: `TLSControl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSettings {
    /// Its path.
    pub path: PathBuf,
    /// The name and the number of the group whose members may use it, besides root.
    pub group: Option<(String, u32)>,
}

impl ControlSettings {
    /// A socket for root, and the user that starts httpd.
    pub fn at(path: PathBuf) -> Self {
        Self { path, group: None }
    }
}

impl fmt::Display for ControlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.group {
            Some((name, _)) => write!(f, "{path}, for root and the group {name}"),
            None => write!(f, "{path}, for root"),
        }
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct ControlSocket {
    settings: ControlSettings,
    listener: UnixListener,
    /// The device and the inode of the file, so that only this one is removed.
    file: (u64, u64),
    /// The process that has made it.
    owner: u32,
}

impl ControlSocket {
    /// Makes the socket. One that a server has left that has ended is replaced.
    fn bind(settings: &ControlSettings) -> io::Result<Self> {
        let path = &settings.path;
        make_way(path)?;
        let (mode, group) = match settings.group {
            Some((_, group)) => (Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP, Some(group)),
            None => (Mode::RUSR | Mode::WUSR, None),
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Linux gives the file the mode of the socket, without what the umask takes away.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        let metadata = fs::symlink_metadata(path)?;
        let socket = Self {
            settings: settings.clone(),
            listener: UnixListener::from(socket),
            file: (metadata.dev(), metadata.ino()),
            owner: std::process::id(),
        };
        chown(path, None, group)?;
        fs::set_permissions(path, Permissions::from_mode(mode.bits()))?;
        listen(socket.listener(), QUEUE)?;
        Ok(socket)
    }

    /// Whether the file is still there.
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.settings.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file)
    }

    /// The group whose members may use it.
    pub(super) fn group(&self) -> Option<u32> {
        self.settings.group.as_ref().map(|(_, number)| *number)
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Child processes have inherited it.
        if self.owner == std::process::id() && self.is_there() {
            let _ = fs::remove_file(&self.settings.path);
        }
    }
}

/// Removes a socket at `path` that nobody serves.
fn make_way(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other("there is a file of this name that is no socket"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Its queue is full, for example.
        _ => Err(io::Error::other(
            "another server uses it: give each httpd a DefaultRuntimeDir of its own, or a TLSControl",
        )),
    }
}

/// The file of the catalogue.
#[derive(Debug)]
pub(super) struct CatalogueFile {
    write: OwnedFd,
    read: OwnedFd,
    len: u64,
    /// It may not become longer.
    limit: u64,
}

impl CatalogueFile {
    fn new(whole: &impl Serialize) -> io::Result<Self> {
        let (write, read) = memory_file::create("mod_tls: catalogue")?;
        let mut file = Self {
            write,
            read,
            len: 0,
            limit: u64::MAX,
        };
        file.append(whole)?;
        file.limit = file.len + MAX_CHANGES;
        Ok(file)
    }

    fn append(&mut self, record: &impl Serialize) -> io::Result<()> {
        let mut frame = Vec::new();
        protocol::encode(record, &mut frame);
        let end = self.len + frame.len() as u64;
        if end > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        memory_file::write_at(&self.write, &frame, self.len)?;
        self.len = end;
        Ok(())
    }
}

impl KeyProcess {
    /// From now on, `tls-certs` is served as `settings` say. The process that watches is told with the files.
    pub fn set_control(&self, settings: Option<&ControlSettings>) {
        let mut slot = lock(&self.control);
        if let (Some(socket), Some(settings)) = (&*slot, settings)
            && socket.settings == *settings
            && socket.is_there()
        {
            return;
        }
        // The old one first: it may have the same path.
        *slot = None;
        let Some(settings) = settings else { return };
        match ControlSocket::bind(settings) {
            Ok(socket) => *slot = Some(socket),
            Err(error) => {
                let text = format!(
                    "TLSControl: tls-certs cannot ask this server, because the socket {} cannot be made: {error}",
                    settings.path.display()
                );
                self.log_queue.add(Severity::Warning, text);
            }
        }
    }

    /// Removes the socket if this process has made it, and closes it.
    pub fn end_control(&self) {
        *lock(&self.control) = None;
        *lock(&self.catalogue) = None;
    }

    /// Whether the process that watches has asked for the catalogue.
    pub fn wants_catalogue(&self) -> bool {
        self.wants_catalogue.load(Relaxed)
    }

    /// Whether somebody may have the catalogue.
    pub fn has_catalogue(&self) -> bool {
        lock(&self.catalogue).is_some()
    }

    /// Gives the process that watches the catalogue, for everybody who asks.
    pub fn publish_catalogue(&self, whole: &impl Serialize) {
        self.wants_catalogue.store(false, Relaxed);
        let Ok(file) = CatalogueFile::new(whole) else { return };
        // If it has ended, the next one asks again.
        if let Some(watcher) = &*lock(&self.watcher)
            && watcher.give_catalogue(file.read.as_fd()).is_ok()
        {
            *lock(&self.catalogue) = Some(file);
        }
    }

    /// Appends a change to the catalogue. One that has become too long is made anew when somebody asks for it.
    pub fn amend_catalogue(&self, change: &impl Serialize) {
        let mut slot = lock(&self.catalogue);
        if let Some(file) = &mut *slot
            && file.append(change).is_err()
        {
            *slot = None;
            if let Some(watcher) = &*lock(&self.watcher) {
                let _ = watcher.forget_catalogue();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_socket_for_root_or_for_a_group() {
        let directory = directory();
        let path = directory.path().join(SOCKET);
        let mut settings = ControlSettings {
            path: path.clone(),
            group: None,
        };
        let mode = || fs::metadata(&path).unwrap().mode() & 0o777;
        let socket = ControlSocket::bind(&settings).unwrap();
        assert_eq!(mode(), 0o600);
        assert!(
            ControlSocket::bind(&settings)
                .unwrap_err()
                .to_string()
                .contains("another server uses it")
        );
        drop(socket);
        assert!(!path.exists());
        let own = fs::metadata(directory.path()).unwrap().gid();
        settings.group = Some(("own".to_owned(), own));
        let socket = ControlSocket::bind(&settings).unwrap();
        assert_eq!(mode(), 0o660);
        assert_eq!(socket.group(), Some(own));
    }

    #[test]
    fn what_a_dead_server_has_left() {
        let directory = directory();
        let settings = ControlSettings {
            path: directory.path().join(SOCKET),
            group: None,
        };
        drop(UnixListener::bind(&settings.path).unwrap());
        let first = ControlSocket::bind(&settings).unwrap();
        // Somebody has removed it, and another server has come.
        fs::remove_file(&settings.path).unwrap();
        assert!(!first.is_there());
        let second = ControlSocket::bind(&settings).unwrap();
        drop(first);
        assert!(second.is_there());
        drop(second);
        fs::write(&settings.path, "a file").unwrap();
        assert!(
            ControlSocket::bind(&settings)
                .unwrap_err()
                .to_string()
                .contains("no socket")
        );
        assert!(settings.path.exists());
    }

    #[test]
    fn a_catalogue_that_becomes_too_long() {
        let mut file = CatalogueFile::new(&"whole").unwrap();
        file.append(&"change").unwrap();
        assert_eq!(
            memory_file::read_all(file.read.as_fd(), 1000).unwrap().len() as u64,
            file.len
        );
        file.limit = file.len + 1;
        assert!(file.append(&"change").is_err());
    }
}
