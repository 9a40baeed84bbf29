// SPDX-License-Identifier: Apache-2.0
//! A directive as the configuration file has it: words and a place, nothing interpreted.

use crate::base::diagnostics::Origin;

/// One line of configuration.
#[derive(Clone, Debug)]
pub struct Directive {
    /// The directive's name, spelled as in the documentation.
    pub name: String,
    /// Its arguments, unquoted.
    pub args: Vec<String>,
    /// Where it stands.
    pub origin: Origin,
    /// Whether it stands in a section for some requests, such as `<Location>`, rather than for all of a server.
    pub in_section: bool,
}

impl Directive {
    /// The arguments as string slices.
    pub fn words(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }

    /// The only argument, or what to say about their number.
    pub fn single(&self) -> Result<&str, String> {
        match self.args.as_slice() {
            [only] => Ok(only),
            _ => Err(format!("takes one argument, not {}", self.args.len())),
        }
    }

    /// `on` or `off`, in any case.
    pub fn flag(&self) -> Result<bool, String> {
        let word = self.single()?;
        if word.eq_ignore_ascii_case("on") {
            Ok(true)
        } else if word.eq_ignore_ascii_case("off") {
            Ok(false)
        } else {
            Err(format!("takes \"on\" or \"off\", not \"{word}\""))
        }
    }
}

/// A setting with the place of the directive that it comes from.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The setting.
    pub value: T,
    /// Where the directive stands.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// The setting `value` of `directive`.
    pub fn new(directive: &Directive, value: T) -> Self {
        Self {
            value,
            origin: directive.origin.clone(),
        }
    }
}
