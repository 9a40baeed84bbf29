// SPDX-License-Identifier: Apache-2.0
//! Messages for the administrator about a configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base::directive_names::worded;

/// The place of a directive in the configuration files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The name of the configuration file, as httpd reports it.
    pub file: std::sync::Arc<str>,
    /// The line number, starting at 1; 0 if httpd does not report it.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The severity of a [`Diagnostic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Information; no action is needed.
    Notice,
    /// The server starts, but probably not as intended.
    Warning,
    /// The server must not start.
    Error,
}

/// One message about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The index of the server that the message is about.
    pub server: usize,
    /// The problem, its place, and the remedy.
    pub text: String,
}

/// A directive of mod_ssl whose effect differs from mod_ssl.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// The place of the directive.
    pub origin: Origin,
    /// The name of the directive.
    pub directive: String,
    /// The effect here, and the remedy.
    pub text: String,
}

/// Collects all messages about a configuration, not only the first.
///
/// # Examples
///
/// ```
/// use mod_tls_core::base::diagnostics::{Diagnostics, Origin, Severity};
///
/// let origin = Origin { file: "httpd.conf".into(), line: 3 };
/// let mut diagnostics = Diagnostics::default();
/// for server in [0, 1] {
///     diagnostics.report(Severity::Warning, server, Some(&origin), "the file is empty");
/// }
/// assert!(!diagnostics.has_errors());
/// assert_eq!(diagnostics.list().len(), 1, "the servers inherit the directive");
/// ```
#[derive(Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    deviations: Vec<Deviation>,
}

impl Diagnostics {
    /// Adds a message about server `server` and the directive at `origin`. Duplicates are dropped: virtual hosts share
    /// inherited settings.
    pub fn report(&mut self, severity: Severity, server: usize, origin: Option<&Origin>, text: impl fmt::Display) {
        let text = match origin {
            Some(origin) => format!("{origin}: {}", worded(&text.to_string())),
            None => worded(&text.to_string()).into_owned(),
        };
        if !self.list.iter().rev().take(64).any(|known| known.text == text) {
            self.list.push(Diagnostic { severity, server, text });
        }
    }

    /// Adds a directive whose effect differs from mod_ssl.
    pub fn deviate(&mut self, origin: &Origin, directive: &str, text: impl Into<String>) {
        self.deviations.push(Deviation {
            origin: origin.clone(),
            directive: directive.to_owned(),
            text: text.into(),
        });
    }

    /// The output of `httpd -t -D DUMP_SSL_COMPAT`: the directives whose effect differs from mod_ssl.
    pub fn dump_deviations(&self) -> String {
        let errors = self.list.iter().filter(|one| one.severity == Severity::Error);
        let refused = errors.map(|error| format!("  refused: {}\n", error.text));
        let others = self.deviations.iter();
        let others = others.map(|deviation| format!("  {}: {}\n", deviation.origin, deviation.text));
        let lines: String = refused.chain(others).collect();
        let lines = if lines.is_empty() { "  none\n" } else { &lines };
        format!("Directives that do not do here what they do with mod_ssl:\n{lines}")
    }

    /// The directives whose effect differs from mod_ssl.
    pub fn deviations(&self) -> &[Deviation] {
        &self.deviations
    }

    /// Whether there is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// All messages, in the order in which they were reported.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }
}
