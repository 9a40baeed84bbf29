// SPDX-License-Identifier: Apache-2.0
//! Pairs of directives of which one names a file and the other a directory: `SSLCACertificateFile` and `…Path`.

use std::path::PathBuf;

use super::server::said;
use crate::directive::Directive;
use crate::files::{self, Hashed};
use crate::settings::{Interpreter, Said};

/// What such a pair says. A later directive replaces an earlier one of its kind, and a virtual host's the base server's.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: Option<Said<PathBuf>>,
    /// The directory, or the files in it that count.
    path: Option<Vec<Said<PathBuf>>>,
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
    /// These sources, with those of `outer` where nothing was said.
    pub fn inherit(&self, outer: &Self) -> Self {
        Self {
            file: self.file.clone().or_else(|| outer.file.clone()),
            path: self.path.clone().or_else(|| outer.path.clone()),
        }
    }

    /// What was named.
    pub fn list(&self) -> Vec<Said<PathBuf>> {
        let path = self.path.iter().flatten();
        self.file.iter().chain(path).cloned().collect()
    }
}

impl Interpreter<'_> {
    /// Reads one directive of a pair.
    pub(super) fn source(
        &mut self,
        sources: &mut Sources,
        directive: &Directive,
        content: Content,
    ) -> Result<(), String> {
        let path = self.path(directive.single()?);
        match (directive.name.ends_with("Path"), content) {
            (false, _) => sources.file = Some(said(directive, path)),
            (true, Content::All) => sources.path = Some(vec![said(directive, path)]),
            (true, Content::Hashed(kind)) => {
                let found = files::hashed(&path, kind).map_err(|error| error.to_string())?;
                if found.is_empty() {
                    let text = format!(
                        "{} {}: nothing in this directory is called as OpenSSL wants it, so nothing counts: `openssl rehash \
                         {1}` makes the links",
                        directive.name,
                        path.display()
                    );
                    self.diagnostics.deviate(&directive.origin, &directive.name, text);
                }
                sources.path = Some(found.into_iter().map(|file| said(directive, file)).collect());
            }
        }
        Ok(())
    }
}
