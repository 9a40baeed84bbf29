// SPDX-License-Identifier: Apache-2.0
//! Reading the files that a configuration names.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// No key, certificate bundle or revocation list is larger; what is, was named by mistake.
pub const MAX_SIZE: u64 = 256 * 1024 * 1024;

/// Why a file could not be read.
#[derive(Debug)]
pub struct FileError {
    /// The file's path.
    pub path: PathBuf,
    /// What the system says.
    pub error: io::Error,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.error.kind() {
            io::ErrorKind::NotFound => write!(
                f,
                "{path}: no such file: check the path (relative ones start at ServerRoot)"
            ),
            io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "{path}: not readable by the user that starts httpd: check the owner and mode of the file and \
                           of the directories above it"
                )
            }
            _ => write!(f, "{path}: cannot be read: {}", self.error),
        }
    }
}

impl std::error::Error for FileError {}

/// The whole of a regular file, wiped from memory when it is dropped.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    Ok(read_stamped(path)?.0)
}

/// The same with the stamp of what was read.
pub fn read_stamped(path: &Path) -> Result<(Zeroizing<Vec<u8>>, FileStamp), FileError> {
    let read = || -> io::Result<(Zeroizing<Vec<u8>>, FileStamp)> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let size = regular_size(&metadata)?;
        // One byte more than the size, so that reading to the end never moves the bytes to a larger buffer and leaves
        // a copy behind.
        let mut content = Zeroizing::new(Vec::with_capacity(size as usize + 1));
        file.take(size).read_to_end(&mut content)?;
        Ok((content, FileStamp::from(&metadata)))
    };
    read().map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

fn regular_size(metadata: &Metadata) -> io::Result<u64> {
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > MAX_SIZE {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_SIZE >> 20)));
    }
    Ok(metadata.len())
}

/// By what a changed file is recognised. Whatever changes a file, or its time of modification, changes its ctime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    inode: (u64, u64),
    size: u64,
    /// The ctime in nanoseconds since 1970.
    changed: i64,
}

impl FileStamp {
    /// The stamp of the file at `path`, symbolic links followed.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let metadata = std::fs::metadata(path).map_err(|error| FileError {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self::from(&metadata))
    }
}

impl From<&Metadata> for FileStamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            changed: metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec(),
        }
    }
}

/// What is found in a directory by the digest of a name: `openssl rehash` makes the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashed {
    /// Certificates: `9d66eef0.0`.
    Certificates,
    /// Revocation lists: `9d66eef0.r0`.
    Lists,
}

impl Hashed {
    fn takes(self, name: &str) -> bool {
        let Some((digest, number)) = name.split_once('.') else {
            return false;
        };
        let number = match self {
            Self::Certificates => Some(number),
            Self::Lists => number.strip_prefix('r'),
        };
        digest.len() == 8
            && digest.bytes().all(|digit| digit.is_ascii_hexdigit())
            && number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
    }
}

/// The files in the directory at `path` that OpenSSL would find there.
pub fn hashed(path: &Path, kind: Hashed) -> Result<Vec<PathBuf>, FileError> {
    files_in(path, |name| kind.takes(name)).map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

/// The file at `path`, or the regular files in the directory at `path` by name. Hidden ones, and those that editors and
/// package managers leave behind, are passed over.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let read = || match std::fs::metadata(path)?.is_dir() {
        true => files_in(path, |name| !name.starts_with('.') && !name.ends_with('~')),
        false => Ok(vec![path.to_owned()]),
    };
    read().map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

/// The regular files in a directory whose names `takes` likes, in the order of their names.
fn files_in(directory: &Path, takes: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.path();
        if takes(&file.file_name().unwrap_or_default().to_string_lossy()) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
