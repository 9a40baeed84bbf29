// SPDX-License-Identifier: Apache-2.0
//! `TLSKeyLogFile`: the secrets of connections, for analysis with Wireshark.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustls::KeyLog;
use zeroize::Zeroizing;

use crate::base::file_reading::{self, FileError};
use crate::x509::hex;

/// A file in the format of RFC 9850, which the parent process opens for all child processes.
pub struct KeyLogFile(File);

impl KeyLogFile {
    /// Opens or creates the file, and restricts access to its owner.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let open = || -> std::io::Result<File> {
            let mut options = OpenOptions::new();
            let file = file_reading::open_regular(path, options.append(true).create(true).mode(0o600))?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        };
        open().map(Self).map_err(|error| FileError {
            path: path.to_owned(),
            error,
        })
    }
}

impl KeyLog for KeyLogFile {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let secret = Zeroizing::new(hex(secret));
        let line = Zeroizing::new(format!("{label} {} {}\n", hex(client_random), *secret));
        // Each line is one write, so that lines of different processes are not mixed. A full disk must not end
        // connections.
        let _ = (&self.0).write_all(line.as_bytes());
    }
}

impl fmt::Debug for KeyLogFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyLogFile").finish_non_exhaustive()
    }
}
