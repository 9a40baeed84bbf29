// SPDX-License-Identifier: Apache-2.0
//! Whether files have changed.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::path::Path;

use super::file_reading::{FileError, FileStamp};

/// A digest of the stamps of some files. A change is missed with a probability of 2^-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp with this number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Its number.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The stamp of files that were looked at, in their sequence.
    pub fn of_files(files: impl IntoIterator<Item = FileStamp>) -> Self {
        Self(hash_of(files.into_iter().collect::<Vec<_>>()))
    }

    /// The stamp that the files, or directories, at `paths` have now.
    pub fn of<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, FileError> {
        let stamps = paths.into_iter().map(|path| FileStamp::of(path.as_ref()));
        Ok(Self::of_files(stamps.collect::<Result<Vec<_>, _>>()?))
    }
}

/// A hash that is equal for equal values in this process and in those that it starts.
pub fn hash_of(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}
