// SPDX-License-Identifier: Apache-2.0
//! Files and directories that mod_ssl's directives name in pairs: `SSLCACertificateFile` and `SSLCACertificatePath`.

use std::path::PathBuf;

use crate::base::directive::Located;
use crate::base::file_reading::Hashed;

/// The value of such a pair. A later directive replaces an earlier one of its kind, and a virtual host's the base server's.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(crate) file: Option<Located<PathBuf>>,
    /// The directory, or the files in it that count.
    pub(crate) path: Option<Vec<Located<PathBuf>>>,
}

/// What counts in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All files.
    All,
    /// What OpenSSL finds: links that are called by the digest of a name. Who is trusted depends on it.
    Hashed(Hashed),
}

impl Sources {
    /// These sources, with those of `outer` where none is set.
    pub fn inherit(&self, outer: &Self) -> Self {
        Self {
            file: self.file.clone().or_else(|| outer.file.clone()),
            path: self.path.clone().or_else(|| outer.path.clone()),
        }
    }

    /// What was named.
    pub fn list(&self) -> Vec<Located<PathBuf>> {
        let path = self.path.iter().flatten();
        self.file.iter().chain(path).cloned().collect()
    }
}
