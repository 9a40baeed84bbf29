// SPDX-License-Identifier: Apache-2.0
//! `tls-certs seal`: private keys for a store on another machine.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use mod_tls_core::base::file_reading;
use mod_tls_core::keys::sealing::SealingKeys;
use mod_tls_core::x509::pem;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::Outcome;
use crate::command_line::Seal;
use crate::output::Output;

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    /// A file was written.
    Written(PathBuf),
    /// A key was sealed.
    Sealed(String),
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(path) => writeln!(
                f,
                "{}: written; keep it secret, and copy it to all machines",
                path.display()
            ),
            Self::Sealed(text) => f.write_str(text),
        }
    }
}

pub(crate) fn run(options: &Seal, output: Output) -> Result<Outcome, String> {
    let done = match (
        &options.new_key,
        options.name.as_deref(),
        &options.key,
        &options.sealing_key,
    ) {
        (Some(path), ..) => {
            write_new(path)?;
            Done::Written(path.clone())
        }
        (None, Some(name), Some(key), Some(sealing_key)) => {
            let sealed = sealing_keys(sealing_key)?.seal(name, &secret_in(key)?);
            Done::Sealed(sealed.map_err(|error| error.to_string())?)
        }
        _ => return Err("seal needs --new-key FILE, or --sealing-key FILE, a name and the file of a key".to_owned()),
    };
    output.print(&done)?;
    Ok(Outcome::Fine)
}

/// Writes a new sealing key. A file that is there is not replaced: keys may be sealed with it.
fn write_new(path: &Path) -> Result<(), String> {
    let about = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => format!(
            "{}: it is there already, and is not replaced: keys may be sealed with it. To change the key, put a new line from another \
             file in front of it, and store all certificates again",
            path.display()
        ),
        _ => format!("{}: {error}", path.display()),
    };
    let line = SealingKeys::generate().map_err(|error| error.to_string())?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(about)?;
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(about)
}

/// The sealing keys in a file.
pub(crate) fn sealing_keys(path: &Path) -> Result<SealingKeys, String> {
    let text = file_reading::read(path).map_err(|error| error.to_string())?;
    SealingKeys::parse(&text).map_err(|why| format!("{}: {why}", path.display()))
}

/// The file of a private key, as it is sealed.
pub(crate) fn secret_in(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = file_reading::read(path).map_err(|error| error.to_string())?;
    let bundle = pem::parse(&text).map_err(|error| error.about(path))?;
    if bundle.keys.is_empty() {
        let why = match bundle.encrypted_key {
            true => "the private key is encrypted: decrypt it first (openssl pkey)",
            false => "there is no private key in it",
        };
        return Err(format!("{}: {why}", path.display()));
    }
    Ok(text)
}
