// SPDX-License-Identifier: Apache-2.0
//! Reading of files that a configuration refers to.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::base::shell::shell_word;

/// The maximum file size. Keys, certificate bundles and revocation lists are smaller.
pub const MAX_SIZE: u64 = 256 * 1024 * 1024;

/// Why a file could not be read.
#[derive(Debug)]
pub struct FileError {
    /// The file's path.
    pub path: PathBuf,
    /// The error of the operating system.
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

/// The content of a file.
pub struct Content {
    /// The bytes, which are erased from memory when they are dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The stamp of the file that was read.
    pub stamp: FileStamp,
    /// Permissions for other users.
    pub exposure: Exposure,
}

/// Reads a regular file. The content is erased from memory when it is dropped.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    Ok(read_stamped(path)?.bytes)
}

impl FileError {
    /// Whether there is no such file.
    pub fn is_absence(&self) -> bool {
        matches!(
            self.error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    }
}

/// An open file.
#[derive(Debug)]
pub struct Opened {
    /// The file.
    pub file: File,
    /// Its stamp.
    pub stamp: FileStamp,
    /// Permissions for other users.
    pub exposure: Exposure,
    size: u64,
}

/// Opens a regular file for reading. The error names the path.
pub fn open(path: &Path) -> Result<Opened, FileError> {
    let open = || -> io::Result<Opened> {
        let file = open_regular(path, OpenOptions::new().read(true))?;
        let metadata = file.metadata()?;
        Ok(Opened {
            size: regular_size(&metadata)?,
            file,
            stamp: FileStamp::from(&metadata),
            exposure: Exposure::of(&metadata),
        })
    };
    open().map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

/// Reads a regular file with its stamp and permissions.
pub fn read_stamped(path: &Path) -> Result<Content, FileError> {
    let opened = open(path)?;
    let bytes = read_open(opened.file, opened.size).map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })?;
    Ok(Content {
        bytes,
        stamp: opened.stamp,
        exposure: opened.exposure,
    })
}

/// Reads at most `size` bytes of an open file. The content is erased from memory when it is dropped.
pub fn read_open(file: File, size: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    // One byte more than the size, so that reading to the end never moves the bytes to a larger buffer, which would leave a
    // copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size as usize + 1));
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file. Other files are not opened: opening a FIFO blocks until its other end is opened, and opening a
/// device may have side effects. If another file takes its place in the meantime, opening that does not block either.
pub(crate) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match std::fs::metadata(path) {
        Ok(metadata) => is_regular(metadata.file_type())?,
        // The options decide whether the file must exist.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = options.custom_flags(never_blocks()).open(path)?;
    is_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn never_blocks() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

/// Returns an error that names the type of the file, unless it is regular.
pub(crate) fn is_regular(kind: FileType) -> io::Result<()> {
    let what = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "it is a directory: name the file in it"
    } else if kind.is_fifo() {
        "it is a FIFO (named pipe), and reading it may never end: copy its content to a regular file and name that file"
    } else if kind.is_socket() {
        "it is a socket: name a regular file"
    } else {
        "it is a device: name a regular file"
    };
    Err(io::Error::other(what))
}

fn regular_size(metadata: &Metadata) -> io::Result<u64> {
    if metadata.len() > MAX_SIZE {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_SIZE >> 20)));
    }
    Ok(metadata.len())
}

/// The permissions of a file for users other than its owner and group, as text for warnings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposure(u16);

impl Exposure {
    /// No permissions.
    pub const NONE: Self = Self(0);
    const READ: u32 = 0o004;
    const WRITE: u32 = 0o002;

    /// The permissions of the file at `path`. Symbolic links are followed.
    pub(crate) fn of_file(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
    }

    fn of(metadata: &Metadata) -> Self {
        let mode = metadata.mode() & 0o7777;
        match mode & (Self::READ | Self::WRITE) {
            0 => Self::NONE,
            _ => Self(mode as u16),
        }
    }

    /// A warning about the permissions of `path`, if other users than its owner and group have any. `can` is what such
    /// a user could do with the file.
    pub fn about(self, path: &Path, can: &str) -> Option<String> {
        let mode = u32::from(self.0);
        let may = match (mode & Self::READ != 0, mode & Self::WRITE != 0) {
            (true, true) => "read and replace",
            (true, false) => "read",
            (false, true) => "replace",
            (false, false) => return None,
        };
        Some(format!(
            "{}: all users of this machine can {may} it (mode {mode:04o}), and a user who has it can {can}: `chmod o= {}`",
            path.display(),
            shell_word(path)
        ))
    }
}

/// Detects changes of a file. Every change of its content or modification time changes its ctime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    inode: (u64, u64),
    size: u64,
    /// The ctime in nanoseconds since 1970.
    changed: i64,
}

impl FileStamp {
    /// The stamp of the file at `path`. Symbolic links are followed.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let metadata = std::fs::metadata(path).map_err(|error| FileError {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self::from(&metadata))
    }
}

impl FileStamp {
    /// When the file was changed, in nanoseconds since 1970.
    pub(crate) fn changed(&self) -> i64 {
        self.changed
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

/// The files in a directory that are found by the hash of a name; `openssl rehash` creates the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// The files in the directory at `path` that OpenSSL would find by hash.
pub fn hashed(path: &Path, kind: Hashed) -> Result<Vec<PathBuf>, FileError> {
    files_in(path, |name| kind.takes(name)).map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })
}

/// The file at `path`, or the regular files in the directory at `path`, sorted by name. Hidden files and backup files
/// of editors and package managers are skipped.
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

/// The regular files in a directory whose names `takes` accepts, sorted by name.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposures() {
        let path = Path::new("own.key");
        for (mode, text) in [
            (0o644, "read it (mode 0644)"),
            (0o602, "replace it"),
            (0o666, "read and replace it"),
        ] {
            let about = Exposure(mode).about(path, "pass for this server").unwrap();
            assert!(about.contains(text) && about.contains("`chmod o= own.key`"), "{about}");
        }
        assert_eq!(Exposure::default().about(path, ""), None);
    }

    #[test]
    fn only_regular_files_are_opened() {
        for (path, what) in [("/dev/zero", "a device"), ("/", "a directory")] {
            let error = read(Path::new(path)).unwrap_err().to_string();
            assert!(error.starts_with(path) && error.contains(what), "{error}");
        }
        let error = read(Path::new("/nothing/there")).unwrap_err().to_string();
        assert!(error.contains("no such file"), "{error}");
        assert!(
            !read(Path::new(file!().trim_start_matches("rust-backend/core/")))
                .unwrap()
                .is_empty()
        );
    }
}
