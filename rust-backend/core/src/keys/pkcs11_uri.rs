// SPDX-License-Identifier: Apache-2.0
//! PKCS#11 URIs (RFC 7512): names of keys and certificates in tokens, such as smart cards and HSMs.

use std::fmt;
use std::mem;
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use crate::keys::percent;

const SCHEME: &str = "pkcs11:";

/// The names of the attributes before the `?`, and behind it.
const PATH_ATTRIBUTES: [&str; 13] = [
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-description",
    "library-version",
    "slot-manufacturer",
    "slot-description",
    "slot-id",
    "object",
    "id",
    "type",
];
const QUERY_ATTRIBUTES: [&str; 4] = ["module-path", "module-name", "pin-source", "pin-value"];

/// What kind of object a URI names: the attribute `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A certificate.
    Certificate,
    /// Data of an application.
    Data,
    /// A private key.
    PrivateKey,
    /// A public key.
    PublicKey,
    /// A secret key.
    SecretKey,
}

impl ObjectKind {
    const ALL: [Self; 5] = [
        Self::Certificate,
        Self::Data,
        Self::PrivateKey,
        Self::PublicKey,
        Self::SecretKey,
    ];

    /// The value of `type` that stands for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Certificate => "cert",
            Self::Data => "data",
            Self::PrivateKey => "private",
            Self::PublicKey => "public",
            Self::SecretKey => "secret-key",
        }
    }
}

/// Where a URI says that the PIN of the token is.
#[derive(Clone, PartialEq, Eq)]
pub enum PinSource {
    /// In the URI: `pin-value`. It is erased from memory when it is dropped.
    Value(Zeroizing<String>),
    /// In a file: `pin-source`.
    File(PathBuf),
}

/// A parsed URI. An attribute that is absent matches everything.
///
/// `Display` and `Debug` write a URI without `pin-value`.
///
/// # Examples
///
/// ```
/// use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;
///
/// let uri = Pkcs11Uri::parse("pkcs11:token=web%20keys;object=www?pin-value=1234").unwrap();
/// assert_eq!(uri.token.as_deref(), Some("web keys"));
/// assert_eq!(uri.to_string(), "pkcs11:token=web%20keys;object=www");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// The label of the token.
    pub token: Option<String>,
    /// The manufacturer of the token.
    pub manufacturer: Option<String>,
    /// The serial number of the token.
    pub serial: Option<String>,
    /// The model of the token.
    pub model: Option<String>,
    /// The manufacturer of the module.
    pub library_manufacturer: Option<String>,
    /// The description of the module.
    pub library_description: Option<String>,
    /// The major and minor version of the module.
    pub library_version: Option<(u8, u8)>,
    /// The manufacturer of the slot.
    pub slot_manufacturer: Option<String>,
    /// The description of the slot.
    pub slot_description: Option<String>,
    /// The number of the slot.
    pub slot_id: Option<u64>,
    /// The label of the object (CKA_LABEL).
    pub object: Option<String>,
    /// The identifier of the object (CKA_ID).
    pub id: Option<Vec<u8>>,
    /// The kind of the object.
    pub kind: Option<ObjectKind>,
    /// The file of the module that knows the token, or a directory that has `module_name`. It is absolute.
    pub module_path: Option<PathBuf>,
    /// The name of the module, without `lib` and the suffix of the file.
    pub module_name: Option<String>,
    /// The PIN.
    pub pin: Option<PinSource>,
}

impl Pkcs11Uri {
    /// Whether `text` is meant as such a URI and not as the name of a file.
    pub fn is_one(text: &str) -> bool {
        scheme_specific_part(text).is_some()
    }

    /// Parses a URI. The error says what is wrong and how to mend it. It never contains the value of `pin-value`, and
    /// does not name the URI.
    ///
    /// Unknown attributes are errors, also those behind the `?`, which RFC 7512 section 2.5 would have ignored: a
    /// misspelt `pin-source` is to be noticed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = scheme_specific_part(text).ok_or("a PKCS#11 URI starts with \"pkcs11:\" (RFC 7512)")?;
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let mut uri = Self::default();
        if !path.is_empty() {
            for part in path.split(';') {
                let (name, value) = attribute(part, ';')?;
                uri.set_path_attribute(name, value)?;
            }
        }
        for part in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = attribute(part, '&')?;
            uri.set_query_attribute(name, value)?;
        }
        Ok(uri)
    }

    fn set_path_attribute(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || percent::decode_text(value, percent::is_of_path).map_err(|error| format!("{name}: {error}"));
        match name {
            "token" => once(&mut self.token, name, text()?),
            "manufacturer" => once(&mut self.manufacturer, name, text()?),
            "serial" => once(&mut self.serial, name, text()?),
            "model" => once(&mut self.model, name, text()?),
            "library-manufacturer" => once(&mut self.library_manufacturer, name, text()?),
            "library-description" => once(&mut self.library_description, name, text()?),
            "library-version" => once(&mut self.library_version, name, parse_version(value)?),
            "slot-manufacturer" => once(&mut self.slot_manufacturer, name, text()?),
            "slot-description" => once(&mut self.slot_description, name, text()?),
            "slot-id" => once(&mut self.slot_id, name, parse_slot(value)?),
            "object" => once(&mut self.object, name, text()?),
            "id" => {
                let id = percent::decode(value, percent::is_of_path).map_err(|error| format!("id: {error}"))?;
                once(&mut self.id, name, id.to_vec())
            }
            "type" => once(&mut self.kind, name, parse_kind(value)?),
            _ if QUERY_ATTRIBUTES.contains(&name) => {
                Err(format!("{name} belongs behind a \"?\": pkcs11:token=...?{name}=..."))
            }
            _ => Err(unknown(name, &PATH_ATTRIBUTES)),
        }
    }

    fn set_query_attribute(&mut self, name: &str, value: &str) -> Result<(), String> {
        let text = || percent::decode_text(value, percent::is_of_query).map_err(|error| format!("{name}: {error}"));
        match name {
            "module-path" => {
                let path = PathBuf::from(text()?);
                if !path.is_absolute() {
                    return Err(format!(
                        "module-path: \"{}\" does not start with /: give the whole path of the module, or its name as module-name",
                        path.display()
                    ));
                }
                once(&mut self.module_path, name, path)
            }
            "module-name" => {
                let module = text()?;
                if module.is_empty() || module.contains('/') {
                    return Err(
                        "module-name: is the name of a module without lib and .so, such as softhsm2; a path \
                                belongs into module-path"
                            .to_owned(),
                    );
                }
                once(&mut self.module_name, name, module)
            }
            "pin-source" => self.set_pin(PinSource::File(parse_pin_source(&text()?)?)),
            "pin-value" => self.set_pin(PinSource::Value(parse_pin_value(value)?)),
            _ if PATH_ATTRIBUTES.contains(&name) => {
                Err(format!("{name} belongs before the \"?\": pkcs11:{name}=...;...?..."))
            }
            _ => Err(unknown(name, &QUERY_ATTRIBUTES)),
        }
    }

    fn set_pin(&mut self, source: PinSource) -> Result<(), String> {
        match self.pin.replace(source) {
            None => Ok(()),
            Some(_) => Err("it has the PIN twice: leave one of pin-source and pin-value out".to_owned()),
        }
    }

    /// The attributes that `Display` writes before the `?`, in the encoding of a URI.
    fn path_attributes(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("token", &self.token),
            ("manufacturer", &self.manufacturer),
            ("serial", &self.serial),
            ("model", &self.model),
            ("library-manufacturer", &self.library_manufacturer),
            ("library-description", &self.library_description),
            ("slot-manufacturer", &self.slot_manufacturer),
            ("slot-description", &self.slot_description),
            ("object", &self.object),
        ];
        let mut all: Vec<_> = texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, percent::encode(text.as_ref()?.as_bytes(), percent::is_of_path))))
            .collect();
        all.extend(self.id.as_ref().map(|id| ("id", percent::encode(id, |_| false))));
        all.extend(self.kind.map(|kind| ("type", kind.name().to_owned())));
        all.extend(self.slot_id.map(|slot| ("slot-id", slot.to_string())));
        all.extend(
            self.library_version
                .map(|(major, minor)| ("library-version", format!("{major}.{minor}"))),
        );
        all
    }

    /// The same for those behind the `?`, without a PIN.
    fn query_attributes(&self) -> Vec<(&'static str, String)> {
        let encode = |path: &Path| percent::encode(path.as_os_str().as_encoded_bytes(), percent::is_of_query);
        let mut all = Vec::new();
        all.extend(self.module_path.as_ref().map(|path| ("module-path", encode(path))));
        all.extend(
            self.module_name
                .as_ref()
                .map(|name| ("module-name", encode(Path::new(name)))),
        );
        if let Some(PinSource::File(path)) = &self.pin {
            all.push(("pin-source", encode(path)));
        }
        all
    }
}

impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        for (number, (name, value)) in self.path_attributes().iter().enumerate() {
            let separator = if number == 0 { "" } else { ";" };
            write!(f, "{separator}{name}={value}")?;
        }
        for (number, (name, value)) in self.query_attributes().iter().enumerate() {
            let separator = if number == 0 { "?" } else { "&" };
            write!(f, "{separator}{name}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What follows `pkcs11:`. The case of schemes is ignored (RFC 3986 section 3.1).
fn scheme_specific_part(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

/// Splits `name=value`.
fn attribute(part: &str, separator: char) -> Result<(&str, &str), String> {
    if part.is_empty() {
        return Err(format!(
            "there is no attribute at a \"{separator}\": leave the \"{separator}\" out"
        ));
    }
    // What is not a name may be a PIN.
    let name = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    match part.split_once('=') {
        Some((before, value)) if !before.is_empty() && name(before) => Ok((before, value)),
        _ => Err(format!(
            "between two \"{separator}\" there has to be name=value, and a \"{separator}\" in a value is written %{:02X}",
            u32::from(separator)
        )),
    }
}

/// Sets an attribute, which may be given once only (RFC 7512 section 2.3).
fn once<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("it has {name} twice: leave one out")),
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .min_by_key(|candidate| strsim::levenshtein(name, candidate))
        .filter(|candidate| strsim::levenshtein(name, candidate) <= 3);
    match nearest {
        Some(nearest) => format!("there is no attribute \"{name}\": perhaps {nearest} is meant"),
        None => format!("there is no attribute \"{name}\": there are {}", known.join(", ")),
    }
}

fn parse_version(value: &str) -> Result<(u8, u8), String> {
    let (major, minor) = value.split_once('.').unwrap_or((value, "0"));
    match (major.parse(), minor.parse()) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        _ => Err(format!("library-version: \"{value}\" is not a version such as 2.6")),
    }
}

fn parse_slot(value: &str) -> Result<u64, String> {
    let error = |_| format!("slot-id: \"{value}\" is not a number");
    value.parse().map_err(error)
}

fn parse_kind(value: &str) -> Result<ObjectKind, String> {
    let kind = ObjectKind::ALL.into_iter().find(|kind| kind.name() == value);
    kind.ok_or_else(|| {
        let known = ObjectKind::ALL.map(ObjectKind::name).join(", ");
        format!("type: there is no \"{value}\", there are {known}")
    })
}

/// The file that `pin-source` names: a path or a URI with the scheme `file`.
fn parse_pin_source(source: &str) -> Result<PathBuf, String> {
    if source.starts_with('|') {
        return Err(
            "pin-source: programs (\"|...\") are not run for PINs: name a file, or leave pin-source out and use \
             SSLPassPhraseDialog"
                .to_owned(),
        );
    }
    let path = match source.strip_prefix("file:") {
        Some(rest) => {
            let rest = rest
                .strip_prefix("//localhost")
                .or(rest.strip_prefix("//"))
                .unwrap_or(rest);
            percent::decode_text(rest, percent::is_of_query).map_err(|error| format!("pin-source: {error}"))?
        }
        None => source.to_owned(),
    };
    match path.starts_with('/') {
        true => Ok(path.into()),
        false => Err(format!(
            "pin-source: \"{source}\" does not name a file by its whole path: write /path/to/file or file:/path/to/file"
        )),
    }
}

fn parse_pin_value(value: &str) -> Result<Zeroizing<String>, String> {
    let wrong = || {
        "pin-value: it is not UTF-8 in the encoding of a URI: write each character that is not a letter, a digit or one of - . _ ~ \
         as % and two hexadecimal digits (%23 for #)"
            .to_owned()
    };
    let mut bytes = percent::decode(value, percent::is_of_query).map_err(|_| wrong())?;
    String::from_utf8(mem::take(&mut *bytes))
        .map(Zeroizing::new)
        .map_err(|error| {
            error.into_bytes().zeroize();
            wrong()
        })
}

#[cfg(test)]
#[path = "pkcs11_uri_tests.rs"]
mod tests;
