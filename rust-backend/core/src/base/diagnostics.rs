// SPDX-License-Identifier: Apache-2.0
//! What compiling a configuration has to tell the administrator.

use std::fmt;

use crate::base::directive_names::worded;

/// Where in the configuration files something was said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The configuration file, as httpd names it.
    pub file: std::sync::Arc<str>,
    /// The line in it, counted from 1; 0 where httpd does not know.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// How grave a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, nothing to mend.
    Notice,
    /// The server runs, but not as the administrator will want it to.
    Warning,
    /// The server must not start.
    Error,
}

/// One message about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// The index of the server it is about.
    pub server: usize,
    /// What is wrong, where, and how to mend it.
    pub text: String,
}

/// A directive of mod_ssl's that does not do what it does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Where it was said.
    pub origin: Origin,
    /// The directive.
    pub directive: String,
    /// What it does instead, and what to do about it.
    pub text: String,
}

/// Collects every message of a configuration, not just the first.
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    deviations: Vec<Deviation>,
}

impl Diagnostics {
    /// Adds a message about server `server`, said at `origin`. A message that was given already is not repeated:
    /// virtual hosts share what they inherit.
    pub fn report(&mut self, severity: Severity, server: usize, origin: Option<&Origin>, text: impl fmt::Display) {
        let text = match origin {
            Some(origin) => format!("{origin}: {}", worded(&text.to_string())),
            None => worded(&text.to_string()).into_owned(),
        };
        if !self.list.iter().rev().take(64).any(|known| known.text == text) {
            self.list.push(Diagnostic { severity, server, text });
        }
    }

    /// Adds a directive that does not do what mod_ssl would.
    pub fn deviate(&mut self, origin: &Origin, directive: &str, text: impl Into<String>) {
        self.deviations.push(Deviation {
            origin: origin.clone(),
            directive: directive.to_owned(),
            text: text.into(),
        });
    }

    /// What `httpd -t -D DUMP_SSL_COMPAT` prints: what does not do what mod_ssl would.
    pub fn dump_deviations(&self) -> String {
        let errors = self.list.iter().filter(|one| one.severity == Severity::Error);
        let refused = errors.map(|error| format!("  refused: {}\n", error.text));
        let others = self.deviations.iter();
        let others = others.map(|deviation| format!("  {}: {}\n", deviation.origin, deviation.text));
        let lines: String = refused.chain(others).collect();
        let lines = if lines.is_empty() { "  none\n" } else { &lines };
        format!("Directives that do not do here what they do with mod_ssl:\n{lines}")
    }

    /// The directives that do not do what mod_ssl would.
    pub fn deviations(&self) -> &[Deviation] {
        &self.deviations
    }

    /// Whether an error was reported.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// All messages, in the order of their appearance.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }
}
