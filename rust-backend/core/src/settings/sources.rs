// SPDX-License-Identifier: Apache-2.0
//! Files and directories that mod_ssl's directives name in pairs: `SSLCACertificateFile` and `SSLCACertificatePath`.

use std::path::PathBuf;

use crate::base::directive::Located;
use crate::base::file_reading::Hashed;
use crate::base::place::Place;

/// The value of such a pair. A later directive replaces an earlier one of the same name; those of a virtual host replace
/// those of the base server.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(crate) file: Option<Located<PathBuf>>,
    pub(crate) path: Option<Directory>,
}

/// A directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    /// The directory, or the files of it that are used.
    pub(crate) files: Vec<Located<PathBuf>>,
    /// The directory, if any of its files are used.
    pub(crate) place: Option<Located<Place>>,
}

/// Which files of a directory are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All files.
    All,
    /// Those that OpenSSL finds: links named by the digest of a name. Other files must not become trusted.
    Hashed(Hashed),
}

impl Sources {
    /// These sources, with those of `outer` for sources that are not set.
    pub fn inherit(&self, outer: &Self) -> Self {
        Self {
            file: self.file.clone().or_else(|| outer.file.clone()),
            path: self.path.clone().or_else(|| outer.path.clone()),
        }
    }

    /// The files and directories that are named.
    pub fn list(&self) -> Vec<Located<PathBuf>> {
        let path = self.path.iter().flat_map(|path| &path.files);
        self.file.iter().chain(path).cloned().collect()
    }

    /// The same, for who looks into directories again.
    pub(crate) fn places(&self) -> Vec<Located<Place>> {
        let path = self.path.iter().filter_map(|path| path.place.clone());
        self.file.iter().cloned().map(Located::into).chain(path).collect()
    }
}
