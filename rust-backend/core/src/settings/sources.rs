// SPDX-License-Identifier: Apache-2.0
//! Files and directories that mod_ssl's directives name in pairs: `SSLCACertificateFile` and `SSLCACertificatePath`.

use std::path::PathBuf;

use crate::base::directive::Located;
use crate::base::file_reading::Hashed;

/// The value of such a pair. A later directive replaces an earlier one of the same name; those of a virtual host replace
/// those of the base server.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub(crate) file: Option<Located<PathBuf>>,
    /// The directory, or the files of it that are used.
    pub(crate) path: Option<Vec<Located<PathBuf>>>,
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
        let path = self.path.iter().flatten();
        self.file.iter().chain(path).cloned().collect()
    }
}
