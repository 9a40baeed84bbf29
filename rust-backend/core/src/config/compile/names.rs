// SPDX-License-Identifier: Apache-2.0
//! Validation of host names: whether clients can send them, and whether certificates cover them.

use std::sync::Arc;

use super::Compiler;
use crate::base::diagnostics::Severity;
use crate::base::punycode;
use crate::keys::identity::Identity;

impl Compiler {
    /// Warns about names that no certificate covers. Names that are guessed by httpd are not checked.
    pub(super) fn check_names(&mut self, index: usize, identities: &[Arc<Identity>]) {
        let Some(origin) = self.hosts[index].named_at.clone() else {
            return;
        };
        let server = &self.builder.servers[index];
        let names = std::iter::once(&server.name).chain(&server.aliases).map(String::as_str);
        // Names that clients cannot send are reported separately.
        let mut uncovered: Vec<&str> = names.filter(|name| name.is_ascii()).collect();
        for identity in identities {
            uncovered = identity.uncovered(&uncovered);
        }
        if uncovered.is_empty() {
            return;
        }
        let files: Vec<_> = identities.iter().map(|identity| identity.name().to_string()).collect();
        let text = format!(
            "{} is not covered by {}: clients that ask for it will refuse the certificate",
            uncovered.join(", "),
            files.join(", ")
        );
        self.diagnostics.report(Severity::Warning, index, Some(&origin), text);
    }

    /// Warns about non-ASCII names: clients send them in another form.
    pub(super) fn check_encoding(&mut self, index: usize) {
        let Some(origin) = self.hosts[index].named_at.clone() else {
            return;
        };
        let server = &self.builder.servers[index];
        let name = std::iter::once(("ServerName", &server.name));
        let aliases = server.aliases.iter().map(|alias| ("ServerAlias", alias));
        let odd = name.chain(aliases).filter(|(_, name)| !name.is_ascii());
        let texts: Vec<_> = odd.map(|(directive, name)| about_encoding(directive, name)).collect();
        for text in texts {
            self.diagnostics.report(Severity::Warning, index, Some(&origin), text);
        }
    }
}

/// The message does not contain the name, because httpd would escape it in the log.
fn about_encoding(directive: &str, name: &str) -> String {
    let mend = match punycode::to_ascii(name) {
        Some(ascii) => format!("write {directive} {ascii}"),
        None => "write it as its A-label, which begins with xn-- (the program idn2 prints it)".to_owned(),
    };
    format!("{directive} has letters that are not ASCII, and clients do not send the name in this form: {mend}")
}
