// SPDX-License-Identifier: Apache-2.0
//! Where certificates of CAs are: a file, or the files of a directory that are used.

use std::path::PathBuf;

use super::file_reading::{self, FileError, Hashed};

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its path.
    pub path: PathBuf,
    /// Which files of a directory are used; none for all.
    pub hashed: Option<Hashed>,
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self { path, hashed: None }
    }
}

impl Place {
    /// The files that are used now.
    pub fn files(&self) -> Result<Vec<PathBuf>, FileError> {
        match self.hashed {
            Some(kind) => file_reading::hashed(&self.path, kind),
            None => file_reading::expand(&self.path),
        }
    }
}
