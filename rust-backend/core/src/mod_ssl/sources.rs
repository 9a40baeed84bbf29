// SPDX-License-Identifier: Apache-2.0
//! Pairs of directives of which one names a file and the other a directory: `SSLCACertificateFile` and `…Path`.

use crate::base::directive::{Directive, Located};
use crate::base::file_reading;
use crate::base::place::Place;
use crate::settings::Interpreter;
use crate::settings::sources::{Content, Directory, Sources};

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
            (false, _) => sources.file = Some(Located::new(directive, path)),
            (true, Content::All) => {
                sources.path = Some(Directory {
                    files: vec![Located::new(directive, path.clone())],
                    place: Some(Located::new(directive, path.into())),
                });
            }
            (true, Content::Hashed(kind)) => {
                let found = file_reading::hashed(&path, kind).map_err(|error| error.to_string())?;
                if found.is_empty() {
                    let text = format!(
                        "{} {}: no file in this directory has a name as OpenSSL expects it, so none is used: `openssl \
                         rehash {1}` makes the links",
                        directive.name,
                        path.display()
                    );
                    self.diagnostics.deviate(&directive.origin, &directive.name, text);
                }
                let hashed = Some(kind);
                let place = (!found.is_empty()).then(|| Located::new(directive, Place { path, hashed }));
                let files = found.into_iter().map(|file| Located::new(directive, file)).collect();
                sources.path = Some(Directory { files, place });
            }
        }
        Ok(())
    }
}
