// SPDX-License-Identifier: Apache-2.0
//! What was fetched, on disk: it is there again after a restart. Files are named by the keys of the table.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::shared_table::{Key, MAX_VALUE};

/// For how long what is no longer wanted is kept: a reload may want it again.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What was fetched. It is verified again when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// When, in seconds since 1970.
    pub at: i64,
    /// The ETag of the answer.
    pub etag: Option<String>,
    /// Its Last-Modified.
    pub last_modified: Option<String>,
    /// Its body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// The directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// The directory, which is made if it is not there: only its owner can read it.
    pub fn new(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ if !path.is_dir() => Err(ErrorKind::NotADirectory.into()),
            _ => Ok(Self { path: path.to_owned() }),
        }
    }

    fn file(&self, key: &Key) -> PathBuf {
        self.path.join(name_of(key))
    }

    /// What was fetched for a key. None if there is nothing, or what is there is damaged.
    pub fn read(&self, key: &Key) -> Option<Fetched> {
        let mut data = Vec::new();
        let file = File::open(self.file(key)).ok()?;
        file.take(MAX_VALUE as u64 * 2).read_to_end(&mut data).ok()?;
        postcard::from_bytes(&data).ok()
    }

    /// Writes what was fetched for a key, in place of what there was. A reader sees the one or the other.
    pub fn write(&self, key: &Key, fetched: &Fetched) -> io::Result<()> {
        let data = postcard::to_allocvec(fetched).map_err(io::Error::other)?;
        let new = self.path.join(format!("{}.new", name_of(key)));
        let written = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&data))
            .and_then(|()| fs::rename(&new, self.file(key)));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// Removes old files of what is not `wanted`. Files with other names are left alone.
    pub fn tidy(&self, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT_FOR));
            if is_old && is_ours(&name) && !wanted(&name.to_string_lossy()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The name of the file of a key.
pub fn name_of(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let name = name.strip_suffix(".new").unwrap_or(&name);
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn fetched(body: &[u8]) -> Fetched {
        Fetched {
            at: 7,
            etag: Some("\"a\"".to_owned()),
            last_modified: None,
            body: body.to_vec(),
        }
    }

    #[test]
    fn what_was_written_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        let directory = Directory::new(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(directory.read(&[1; 16]), None);
        directory.write(&[1; 16], &fetched(b"one")).unwrap();
        directory.write(&[1; 16], &fetched(b"two")).unwrap();
        assert_eq!(Directory::new(&path).unwrap().read(&[1; 16]), Some(fetched(b"two")));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
        fs::write(path.join(name_of(&[1; 16])), b"\xff").unwrap();
        assert_eq!(directory.read(&[1; 16]), None);
    }

    #[test]
    fn a_file_in_its_place_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        fs::write(&path, b"").unwrap();
        assert!(Directory::new(&path).is_err());
        assert!(Directory::new(&root.path().join("no/such")).is_err());
    }

    #[test]
    fn only_old_files_of_ours_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::new(root.path()).unwrap();
        for key in [[1; 16], [2; 16], [3; 16]] {
            directory.write(&key, &fetched(b"")).unwrap();
        }
        fs::write(root.path().join("else"), b"").unwrap();
        for name in [name_of(&[1; 16]), name_of(&[2; 16]), "else".to_owned()] {
            let file = File::options().write(true).open(root.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - KEPT_FOR * 2).unwrap();
        }
        directory.tidy(|name| name == name_of(&[2; 16])).unwrap();
        let left = [[2; 16], [3; 16]].map(|key| directory.read(&key).is_some());
        assert_eq!(left, [true, true]);
        assert!(directory.read(&[1; 16]).is_none() && root.path().join("else").exists());
    }
}
