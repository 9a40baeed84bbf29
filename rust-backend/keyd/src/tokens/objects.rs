// SPDX-License-Identifier: Apache-2.0
//! Objects in a token: finding them, and their attributes.

use std::fmt;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;

use super::failure::Failure;

/// How many objects a message lists.
const LISTED: usize = 8;

/// Which object is looked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    class: ObjectClass,
    label: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
}

impl Wanted {
    pub(super) fn private_key(uri: &Pkcs11Uri) -> Self {
        Self::of_class(ObjectClass::PRIVATE_KEY, uri)
    }

    pub(super) fn certificate(uri: &Pkcs11Uri) -> Self {
        Self::of_class(ObjectClass::CERTIFICATE, uri)
    }

    fn of_class(class: ObjectClass, uri: &Pkcs11Uri) -> Self {
        Self {
            class,
            label: uri.object.as_ref().map(|label| label.clone().into_bytes()),
            id: uri.id.clone(),
        }
    }

    /// The same object by all that it says of itself.
    pub(super) fn exactly(&self, session: &Session, object: ObjectHandle) -> Result<Self, Failure> {
        let label = bytes(session, object, AttributeType::Label)?;
        let id = bytes(session, object, AttributeType::Id)?;
        Ok(Self {
            class: self.class,
            label: label.filter(|label| !label.is_empty()),
            id: id.filter(|id| !id.is_empty()),
        })
    }

    /// An object of another class that belongs to this one: it has the same CKA_ID or, if that is absent, label.
    pub(super) fn beside(&self, class: ObjectClass) -> Option<Self> {
        let label = if self.id.is_some() { None } else { self.label.clone() };
        (self.id.is_some() || label.is_some()).then(|| Self {
            class,
            label,
            id: self.id.clone(),
        })
    }

    pub(super) fn all(&self, session: &Session) -> Result<Vec<ObjectHandle>, Error> {
        let mut template = vec![Attribute::Class(self.class)];
        template.extend(self.label.clone().map(Attribute::Label));
        template.extend(self.id.clone().map(Attribute::Id));
        session.find_objects(&template)
    }

    /// The object, if there is one. It is an error if there are several.
    pub(super) fn find(&self, session: &Session) -> Result<Option<ObjectHandle>, Failure> {
        match self.all(session)?[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            ref several => Err(Failure::Other(format!(
                "it has {} like {self}: {}: add object= and id= to name one",
                several.len(),
                list(session, several)
            ))),
        }
    }

    /// What to say if the object is not there.
    pub(super) fn missing(&self, session: &Session) -> Result<Failure, Failure> {
        let kind = Self {
            label: None,
            id: None,
            ..self.clone()
        };
        let there = kind.all(session)?;
        let what = kind.to_string();
        Ok(Failure::Other(match &there[..] {
            [] => {
                format!("it has no {what} at all: put it there (pkcs11-tool --login --write-object, or --keypairgen)")
            }
            some => format!("it has no {self}, but {what} {}: correct the name", list(session, some)),
        }))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.class {
            ObjectClass::CERTIFICATE => "certificate",
            ObjectClass::PRIVATE_KEY => "private key",
            _ => "object",
        })?;
        write_names(f, self.label.as_deref(), self.id.as_deref())
    }
}

fn write_names(f: &mut impl fmt::Write, label: Option<&[u8]>, id: Option<&[u8]>) -> fmt::Result {
    if let Some(label) = label {
        write!(f, " \"{}\"", String::from_utf8_lossy(label).escape_debug())?;
    }
    if let Some(id) = id {
        let id: String = id.iter().map(|byte| format!("%{byte:02X}")).collect();
        write!(f, " id={id}")?;
    }
    Ok(())
}

/// The names of objects, for messages.
fn list(session: &Session, objects: &[ObjectHandle]) -> String {
    let name = |&object: &ObjectHandle| {
        let get = |attribute| bytes(session, object, attribute).ok().flatten();
        let mut text = String::new();
        let _ = write_names(
            &mut text,
            get(AttributeType::Label).as_deref(),
            get(AttributeType::Id).as_deref(),
        );
        text.trim_start().to_owned()
    };
    let mut names: Vec<_> = objects.iter().take(LISTED).map(name).collect();
    names.sort();
    if objects.len() > LISTED {
        names.push("others".to_owned());
    }
    names.join(", ")
}

/// The value of an attribute; `None` if the token does not have it or keeps it secret.
pub(super) fn attribute(
    session: &Session,
    object: ObjectHandle,
    name: AttributeType,
) -> Result<Option<Attribute>, Failure> {
    Ok(session.get_attributes(object, &[name])?.pop())
}

/// The value of an attribute that consists of bytes.
pub(super) fn bytes(session: &Session, object: ObjectHandle, name: AttributeType) -> Result<Option<Vec<u8>>, Failure> {
    Ok(match attribute(session, object, name)? {
        Some(
            Attribute::Label(bytes)
            | Attribute::Id(bytes)
            | Attribute::Value(bytes)
            | Attribute::Modulus(bytes)
            | Attribute::PublicExponent(bytes)
            | Attribute::EcParams(bytes)
            | Attribute::EcPoint(bytes)
            | Attribute::PublicKeyInfo(bytes),
        ) => Some(bytes),
        _ => None,
    })
}
