// SPDX-License-Identifier: Apache-2.0
//! Pairs of directives of which one names a file and the other a directory: `SSLCACertificateFile` and `…Path`.

use std::path::PathBuf;

use crate::settings::Said;

/// What such a pair says. A later directive replaces an earlier one of its kind, and a virtual host's the base server's.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<Said<PathBuf>>,
    /// The directory.
    pub path: Option<Said<PathBuf>>,
}

impl Sources {
    /// These sources, with those of `outer` where nothing was said.
    pub fn inherit(&self, outer: &Self) -> Self {
        Self {
            file: self.file.clone().or_else(|| outer.file.clone()),
            path: self.path.clone().or_else(|| outer.path.clone()),
        }
    }

    /// What was named.
    pub fn list(&self) -> Vec<Said<PathBuf>> {
        self.file.iter().chain(&self.path).cloned().collect()
    }
}
