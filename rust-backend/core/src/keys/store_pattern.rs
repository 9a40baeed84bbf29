// SPDX-License-Identifier: Apache-2.0
//! The files of certificates that are looked up by name: patterns in the words of mod_vhost_alias.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::host_name::HostName;

/// Selects one part, or several, counted from 1, or from the end with negative numbers. 0 is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selection {
    number: i8,
    /// Whether the parts behind it are selected too, or those before it if it is counted from the end.
    and_further: bool,
}

impl Selection {
    const ALL: Self = Self {
        number: 0,
        and_further: false,
    };

    /// The range of the parts of `len`; none if there is no such part.
    fn range(self, len: usize) -> Option<std::ops::Range<usize>> {
        let number = usize::from(self.number.unsigned_abs());
        if number == 0 {
            return Some(0..len);
        }
        if number > len {
            return None;
        }
        Some(match (self.number > 0, self.and_further) {
            (true, false) => number - 1..number,
            (true, true) => number - 1..len,
            (false, false) => len - number..len - number + 1,
            (false, true) => 0..len - number + 1,
        })
    }

    /// Takes one from the start of `text`.
    fn take(text: &mut &str) -> Option<Self> {
        let is_negative = text.starts_with('-');
        let rest = text.strip_prefix('-').unwrap_or(text);
        let digit = rest.chars().next()?.to_digit(10)? as i8;
        let rest = &rest[1..];
        let and_further = rest.starts_with('+');
        *text = rest.strip_prefix('+').unwrap_or(rest);
        Some(Self {
            number: if is_negative { -digit } else { digit },
            and_further,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    /// Parts of the name, and characters of these.
    Name(Selection, Selection),
}

/// A pattern of paths.
///
/// # Examples
///
/// ```
/// use mod_tls_core::base::host_name::HostName;
/// use mod_tls_core::keys::store_pattern::Pattern;
///
/// let pattern = Pattern::parse("/srv/%-1/%2.1/%n/cert.pem").unwrap();
/// let name = HostName::new("WWW.Example.org").unwrap();
/// assert_eq!(pattern.path(&name).to_str(), Some("/srv/org/e/www.example.org/cert.pem"));
/// assert_eq!(pattern.fixed_directory().to_str(), Some("/srv"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<[Piece]>);

impl Pattern {
    /// Parses an absolute path with at least one part of the name in it: `%n` or `%0` is the whole name, `%1` its first part, `%-1`
    /// the last one, `%2+` the second and all further ones, `%-2+` the last but one and all before it; `%1.2` the second character
    /// of the first part, and so on; `%%` is a percent sign.
    ///
    /// # Errors
    /// The text continues "takes ...".
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('%') {
                literal.push('%');
                rest = after;
                continue;
            }
            let piece = Self::take_name(&mut rest).ok_or_else(|| {
                format!(
                    "%n for the name, or a part of it such as %1, %-1, %2+ or %1.1 as in mod_vhost_alias, and %% for a percent \
                     sign, not \"%{}\"",
                    rest.chars().take(3).collect::<String>()
                )
            })?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
            }
            pieces.push(piece);
        }
        literal.push_str(rest);
        if pieces.is_empty() {
            return Err(format!(
                "a pattern of paths that contains the name, such as /etc/ssl/%n.pem, not \"{text}\""
            ));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        Ok(Self(pieces.into()))
    }

    fn take_name(rest: &mut &str) -> Option<Piece> {
        if let Some(after) = rest.strip_prefix('n') {
            *rest = after;
            return Some(Piece::Name(Selection::ALL, Selection::ALL));
        }
        let parts = Selection::take(rest)?;
        let mut characters = Selection::ALL;
        // A dot that no number follows is one of the path.
        if let Some(mut after) = rest.strip_prefix('.')
            && let Some(found) = Selection::take(&mut after)
        {
            characters = found;
            *rest = after;
        }
        Some(Piece::Name(parts, characters))
    }

    /// The path for a name. A part that the name does not have is `_`.
    pub fn path(&self, name: &HostName) -> PathBuf {
        let labels: Vec<&str> = name.as_str().split('.').collect();
        let mut path = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Name(parts, characters) => {
                    let selected = parts.range(labels.len()).map(|range| labels[range].join("."));
                    // Names are ASCII.
                    let selected = selected.and_then(|text| Some(text[characters.range(text.len())?].to_owned()));
                    path.push_str(selected.as_deref().filter(|text| *text != ".").unwrap_or("_"));
                }
            }
        }
        path.into()
    }

    /// The directory below which all of its paths are.
    pub fn fixed_directory(&self) -> &Path {
        let text = match self.0.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        };
        let directory = text
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory.trim_end_matches('/'));
        Path::new(if directory.is_empty() { "/" } else { directory })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('%', "%%"))?,
                Piece::Name(Selection::ALL, Selection::ALL) => f.write_str("%n")?,
                Piece::Name(parts, characters) => {
                    write!(f, "%{parts}")?;
                    // A dot that follows must not be taken for one that selects characters.
                    let is_before_dot = matches!(self.0.get(at + 1), Some(Piece::Text(text)) if text.starts_with('.'));
                    if *characters != Selection::ALL || is_before_dot {
                        write!(f, ".{characters}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, if self.and_further { "+" } else { "" })
    }
}

/// The files of a store of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePatterns {
    /// The certificate with its chain.
    pub certificate: Pattern,
    /// The key, if it is in another file.
    pub key: Option<Pattern>,
}

impl StorePatterns {
    /// The paths of the certificate and of the key for a name.
    pub fn paths(&self, name: &HostName) -> (PathBuf, Option<PathBuf>) {
        (
            self.certificate.path(name),
            self.key.as_ref().map(|pattern| pattern.path(name)),
        )
    }
}

impl fmt::Display for StorePatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate.fmt(f)?;
        match &self.key {
            Some(key) => write!(f, " {key}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(pattern: &str, name: &str) -> String {
        let name = HostName::new(name).unwrap();
        Pattern::parse(pattern).unwrap().path(&name).display().to_string()
    }

    #[test]
    fn words_of_mod_vhost_alias() {
        let name = "www.shop.Example.org.";
        for (pattern, expected) in [
            ("/%0", "/www.shop.example.org"),
            ("/%n.pem", "/www.shop.example.org.pem"),
            ("/%1/%2/%-1/%-2", "/www/shop/org/example"),
            ("/%2+/%-2+", "/shop.example.org/www.shop.example"),
            ("/%1+/%-1+", "/www.shop.example.org/www.shop.example.org"),
            ("/%5/%-5+/%5.1", "/_/_/_"),
            ("/%-2.1/%-2.2/%-2.3+/%-2.-1/%-2.-3+", "/e/x/ample/e/examp"),
            ("/%-2.9", "/_"),
            ("/%2.pem/%%n", "/shop.pem/%n"),
            ("/%0.4", "/_"),
        ] {
            assert_eq!(path(pattern, name), expected, "{pattern}");
        }
        assert_eq!(path("/%2/x", "localhost"), "/_/x");
    }

    #[test]
    fn errors_and_texts() {
        for wrong in ["/etc/ssl/cert.pem", "/%", "/%p", "/%x", "/%-", ""] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
        for text in ["/a/%n/%-2+.1+/b%%c", "/%n.5", "/%1.0.5"] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Pattern::parse("/%2.pem").unwrap().to_string(), "/%2.0.pem");
        let directory = |text| Pattern::parse(text).unwrap().fixed_directory().display().to_string();
        assert_eq!(directory("/srv/x%n/y"), "/srv");
        assert_eq!(
            (directory("/%n/y"), directory("/a//%n")),
            ("/".to_owned(), "/a".to_owned())
        );
    }

    proptest! {
        /// Whatever the pattern and the name are: a name adds no components to a path, and none that leave it.
        #[test]
        fn names_stay_below(pattern in "(/[a-z]{0,2}(%(n|-?[0-9]\\+?)(\\.-?[0-9]\\+?)?){1,2}){1,4}", name in "\\PC{0,20}|[a-z0-9.-]{1,30}") {
            let pattern = Pattern::parse(&pattern).unwrap();
            if let Some(name) = HostName::new(&name) {
                let (path, text) = (pattern.path(&name), pattern.to_string());
                prop_assert_eq!(path.to_str().unwrap().matches('/').count(), text.matches('/').count());
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_))));
                prop_assert!(path.starts_with(pattern.fixed_directory()));
            }
        }

        #[test]
        fn any_text(pattern in "\\PC{0,30}", name in "\\PC{0,30}") {
            if let (Ok(pattern), Some(name)) = (Pattern::parse(&pattern), HostName::new(&name)) {
                let _ = pattern.path(&name);
            }
        }
    }
}
