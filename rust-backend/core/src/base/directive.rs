// SPDX-License-Identifier: Apache-2.0
//! A directive as it is in the configuration file: uninterpreted words and their place.

use crate::base::diagnostics::Origin;

/// One line of configuration.
///
/// # Examples
///
/// ```
/// use mod_tls_core::base::diagnostics::Origin;
/// use mod_tls_core::base::directive::Directive;
///
/// let directive = Directive {
///     name: "TLSStrictSNI".to_owned(),
///     args: vec!["Off".to_owned()],
///     origin: Origin { file: "httpd.conf".into(), line: 3 },
///     in_section: false,
/// };
/// assert_eq!(directive.flag(), Ok(false));
/// ```
#[derive(Clone, Debug)]
pub struct Directive {
    /// The name of the directive, spelled as in the documentation.
    pub name: String,
    /// Its arguments, unquoted.
    pub args: Vec<String>,
    /// The place of the directive.
    pub origin: Origin,
    /// Whether the directive is in a section for certain requests, such as `<Location>`, and not in the server itself.
    pub in_section: bool,
}

impl Directive {
    /// The arguments as string slices.
    pub fn words(&self) -> Vec<&str> {
        self.args.iter().map(String::as_str).collect()
    }

    /// The only argument, or an error message about the number of arguments.
    pub fn single(&self) -> Result<&str, String> {
        match self.args.as_slice() {
            [only] => Ok(only),
            _ => Err(format!("takes one argument, not {}", self.args.len())),
        }
    }

    /// `on` or `off`, case-insensitive.
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

/// A setting and the place of its directive.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The setting.
    pub value: T,
    /// The place of the directive.
    pub origin: Origin,
}

impl<T> Located<T> {
    /// The same as another type.
    pub fn into<U: From<T>>(self) -> Located<U> {
        Located {
            value: self.value.into(),
            origin: self.origin,
        }
    }

    /// The setting `value` from `directive`.
    pub fn new(directive: &Directive, value: T) -> Self {
        Self {
            value,
            origin: directive.origin.clone(),
        }
    }
}
