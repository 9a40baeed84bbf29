// SPDX-License-Identifier: Apache-2.0
//! All directives of mod_tls, in two tables: [`own::TABLE`] has the `TLS*` directives, [`mod_ssl::TABLE`] the `SSL*`
//! directives that the module accepts in mod_ssl's place.
//!
//! A directive is described in one row. The row is the source of
//!
//! - the tables of directives in C, and so of what `httpd -L` prints ([`header`]),
//! - the block at the top of each entry in `docs/directives.md`, and the tables in `docs/moving-from-mod_ssl.md` ([`docs`]),
//! - the names that messages use where only mod_ssl's directives are loaded ([`Directive::counterpart`]),
//! - the labels in the output of `httpd -t -D DUMP_TLS` ([`Directive::label`]).
//!
//! The meaning of directives is in `settings` and `mod_ssl` in the crate `mod-tls-core`.
//!
//! # Examples
//!
//! ```
//! use mod_tls_directives::{Context, own};
//!
//! let directive = own::find("TLSProtocol").unwrap();
//! assert_eq!(directive.context, Context::Host);
//! assert_eq!(directive.usage(), "TLSProtocol version ...");
//! assert_eq!(directive.counterpart, Some("SSLProtocol"));
//! ```
//!
//! May use: nothing.
#![forbid(unsafe_code)]

mod context;
pub mod docs;
pub mod header;
pub mod mod_ssl;
pub mod own;

pub use context::Context;

/// A row of a table: one directive.
///
/// # Examples
///
/// Rows are constants. What is not set by a method has the default that [`Directive::new`] names.
///
/// ```
/// use mod_tls_directives::{Context, DefaultValue, Directive};
///
/// const EXAMPLE: Directive = Directive::new("TLSExample", "on|off", Context::Host, "Give examples").default("off");
///
/// assert_eq!(EXAMPLE.default, DefaultValue::Arguments("off"));
/// assert_eq!(EXAMPLE.label, None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The name, as the documentation spells it. httpd ignores the case.
    pub name: &'static str,
    /// The arguments, in the notation of httpd's manual: `on|off`, `file [file] ...`. Empty if there are none.
    pub arguments: &'static str,
    /// Where the directive is allowed.
    pub context: Context,
    /// The value if the directive is not given.
    pub default: DefaultValue,
    /// One line of text, without a period at its end. `httpd -L` prints it.
    pub description: &'static str,
    /// What becomes of the directive. `TLS*` directives are all [`Class::Honoured`].
    pub class: Class,
    /// For an `SSL*` directive: where it differs from mod_ssl's, or why it has no effect or is refused, and what to use
    /// instead. Part of a message if the directive is not honoured. May be empty if it is.
    pub note: &'static str,
    /// For a `TLS*` directive: what an administrator with mod_ssl's directives writes instead.
    pub counterpart: Option<&'static str>,
    /// The label under which `httpd -t -D DUMP_TLS` shows the value.
    pub label: Option<&'static str>,
    /// How httpd passes the arguments on.
    pub parsing: Parsing,
}

/// The value of a directive that is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// There is none. For an `SSL*` directive: as mod_ssl has it.
    None,
    /// As if the directive was given with these arguments.
    Arguments(&'static str),
    /// It depends on something else. Markdown.
    Depends(&'static str),
}

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is in effect. An `SSL*` directive has the meaning that it has with mod_ssl.
    Honoured,
    /// It is accepted and ignored, since there is nothing that it could change.
    WithoutEffect,
    /// It is an error, since to ignore it would not be safe, or not what was meant.
    Refused,
}

/// How httpd passes the arguments of a directive on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsing {
    /// As words; quotation marks are removed.
    Words,
    /// As the text that the file has: an expression.
    Raw,
}

impl Directive {
    /// A directive without default, counterpart and label, that is honoured and whose arguments are words.
    pub const fn new(name: &'static str, arguments: &'static str, context: Context, description: &'static str) -> Self {
        Self {
            name,
            arguments,
            context,
            default: DefaultValue::None,
            description,
            class: Class::Honoured,
            note: "",
            counterpart: None,
            label: None,
            parsing: Parsing::Words,
        }
    }

    /// Sets the default: the same as with these `arguments`.
    pub const fn default(mut self, arguments: &'static str) -> Self {
        self.default = DefaultValue::Arguments(arguments);
        self
    }

    /// Sets a default that `depends` on something else, in Markdown.
    pub const fn default_depends(mut self, depends: &'static str) -> Self {
        self.default = DefaultValue::Depends(depends);
        self
    }

    /// Sets mod_ssl's counterpart: the name of a directive, with an argument if that belongs to it.
    pub const fn counterpart(mut self, name: &'static str) -> Self {
        self.counterpart = Some(name);
        self
    }

    /// Sets the label for `DUMP_TLS`.
    pub const fn label(mut self, label: &'static str) -> Self {
        self.label = Some(label);
        self
    }

    /// Adds a note to a directive that is honoured.
    pub const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    /// The directive is accepted and ignored; `note` is the reason.
    pub const fn without_effect(self, note: &'static str) -> Self {
        self.of(Class::WithoutEffect, note)
    }

    /// The directive is an error; `note` is the reason.
    pub const fn refused(self, note: &'static str) -> Self {
        self.of(Class::Refused, note)
    }

    const fn of(mut self, class: Class, note: &'static str) -> Self {
        self.class = class;
        self.note = note;
        self
    }

    /// The arguments are passed on as text.
    pub const fn raw(mut self) -> Self {
        self.parsing = Parsing::Raw;
        self
    }

    /// The name with its arguments: the syntax of the directive.
    pub fn usage(&self) -> String {
        [self.name, self.arguments].join(" ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_complete() {
        for directive in own::TABLE.iter().chain(mod_ssl::TABLE) {
            let Directive { name, description, .. } = directive;
            assert!(!description.is_empty() && !description.ends_with('.'), "{name}");
            assert!(description.starts_with(|c: char| c.is_ascii_uppercase()), "{name}");
            assert!(!description.contains(['\n', '|', '`']), "{name}");
            let beginning = match directive.class {
                Class::Honoured => "",
                Class::WithoutEffect => "Accepted and ignored: ",
                Class::Refused => "Refused",
            };
            assert!(description.starts_with(beginning), "{name}");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = own::TABLE.iter().chain(mod_ssl::TABLE).map(|row| row.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, other| one < other));
    }

    #[test]
    fn usage_without_arguments() {
        assert_eq!(mod_ssl::find("SSLRequireSSL").unwrap().usage(), "SSLRequireSSL");
    }
}
