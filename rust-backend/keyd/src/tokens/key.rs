// SPDX-License-Identifier: Apache-2.0
//! Private keys that stay in their token.

use std::fmt;
use std::sync::{Arc, Mutex};

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use mod_tls_core::crypto::signature;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::SubjectPublicKeyInfoDer;

use super::failure::Failure;
use super::lock;
use super::objects::{Wanted, attribute, bytes};
use super::public_key::{self, KeyKind};
use super::schemes::{Way, ways};
use super::token::{Loan, Token};

/// The least length of the modulus of an RSA key, in bytes. It is the same for keys in files.
const MIN_RSA_MODULUS: usize = 256;

/// A private key in a token. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct TokenKey(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    token: Arc<Token>,
    name: Wanted,
    kind: KeyKind,
    public_key: SubjectPublicKeyInfoDer<'static>,
    ways: Vec<Way>,
    /// The handle of the object, with the generation of sessions for which it is valid.
    handle: Mutex<(u64, ObjectHandle)>,
}

impl TokenKey {
    /// Finds the key that is `wanted`. The token has to be logged in.
    pub(super) fn find(token: Arc<Token>, wanted: Wanted) -> Result<Self, Failure> {
        let about = |failure: Failure, what: &str| failure.of(&format!("{token}{what}"));
        let (name, handle) = token
            .run(|loan| {
                let session = &loan.session;
                let Some(object) = wanted.find(session)? else {
                    return Err(wanted.missing(session)?);
                };
                Ok((wanted.exactly(session, object)?, (loan.generation, object)))
            })
            .map_err(|failure| about(failure, ""))?;
        let (kind, public_key, ways) = token
            .run(|loan| {
                let object = match loan.generation == handle.0 {
                    true => handle.1,
                    false => found_again(&name, &loan.session)?,
                };
                describe(&token, &loan.session, object, &name)
            })
            .map_err(|failure| about(failure, &format!(": {name}")))?;
        let mut key = Inner {
            token,
            name,
            kind,
            public_key,
            ways,
            handle: Mutex::new(handle),
        };
        key.try_out().map_err(|failure| failure.of(&key.to_string()))?;
        Ok(Self(Arc::new(key)))
    }
}

/// What there is to know of a key.
fn describe(
    token: &Token,
    session: &Session,
    object: ObjectHandle,
    name: &Wanted,
) -> Result<(KeyKind, SubjectPublicKeyInfoDer<'static>, Vec<Way>), Failure> {
    let flag = |name| attribute(session, object, name);
    if let Some(Attribute::AlwaysAuthenticate(true)) = flag(AttributeType::AlwaysAuthenticate)? {
        return Err(Failure::Other(
            "it wants the PIN for each signature (CKA_ALWAYS_AUTHENTICATE), which is not possible for a server: use a key \
             that does not"
                .to_owned(),
        ));
    }
    if let Some(Attribute::Sign(false)) = flag(AttributeType::Sign)? {
        return Err(Failure::Other(
            "it may not sign (CKA_SIGN): make a key that may".to_owned(),
        ));
    }
    let kind = KeyKind::of(session, object)?;
    if let Some(modulus) = bytes(session, object, AttributeType::Modulus)?
        && modulus.len() < MIN_RSA_MODULUS
    {
        return Err(Failure::Other(format!(
            "its {} bits are too few: make an RSA key of {} bits or more",
            8 * modulus.len(),
            8 * MIN_RSA_MODULUS
        )));
    }
    let public_key = public_key::of(session, object, name, kind)?;
    let mechanisms = token.mechanisms()?;
    let allowed = allowed_mechanisms(session, object);
    let ways = ways(kind, |mechanism| {
        mechanisms.contains(&mechanism) && allowed.as_ref().is_none_or(|allowed| allowed.contains(&mechanism))
    });
    if ways.is_empty() {
        return Err(no_ways());
    }
    Ok((kind, public_key, ways))
}

fn no_ways() -> Failure {
    Failure::Other(
        "the token can make no signatures of TLS with it: see what it can (pkcs11-tool --list-mechanisms), and what the key allows \
         (CKA_ALLOWED_MECHANISMS)"
            .to_owned(),
    )
}

/// The mechanisms that a key allows; `None` for all. Old tokens have no such attribute, and a list may have mechanisms
/// that are unknown here, which are no reason to refuse the key.
fn allowed_mechanisms(session: &Session, object: ObjectHandle) -> Option<Vec<MechanismType>> {
    match attribute(session, object, AttributeType::AllowedMechanisms) {
        Ok(Some(Attribute::AllowedMechanisms(allowed))) if !allowed.is_empty() => Some(allowed),
        _ => None,
    }
}

fn found_again(name: &Wanted, session: &Session) -> Result<ObjectHandle, Failure> {
    match name.find(session)? {
        Some(object) => Ok(object),
        None => Err(name.missing(session)?),
    }
}

impl Inner {
    /// Makes one signature, so that a key that cannot sign, or a public key that is not its own, is noticed at the start
    /// and not by clients. Ways that the token announces but cannot do are removed.
    fn try_out(&mut self) -> Result<(), Failure> {
        let message = b"mod_tls tries out a key of a token";
        loop {
            let Some(way) = self.ways.first().copied() else {
                return Err(no_ways());
            };
            let signature = match self.sign(way, message) {
                Err(failure) if failure.is_unsupported() && self.ways.len() > 1 => {
                    self.ways.remove(0);
                    continue;
                }
                other => other?,
            };
            return match signature::is_valid(&self.public_key, way.scheme, message, &signature) {
                Some(false) => Err(Failure::Other(
                    "the public key or certificate beside it, with the same id or label, belongs to another key: put the right \
                     one there"
                        .to_owned(),
                )),
                _ => Ok(()),
            };
        }
    }

    /// The handle of the key for a session. After the token was away, the key is looked for again, and has to be the
    /// same.
    fn handle(&self, loan: &Loan) -> Result<ObjectHandle, Failure> {
        let (generation, handle) = *lock(&self.handle);
        if generation == loan.generation {
            return Ok(handle);
        }
        let object = found_again(&self.name, &loan.session)?;
        if public_key::of(&loan.session, object, &self.name, self.kind)? != self.public_key {
            return Err(Failure::Other(
                "it is another key than at the start: reload httpd with the certificate of this key, or put the old key back"
                    .to_owned(),
            ));
        }
        *lock(&self.handle) = (loan.generation, object);
        Ok(object)
    }

    fn sign(&self, way: Way, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let input = way.input(message);
        let signature = self.token.run(|loan| {
            let key = self.handle(loan)?;
            Ok(loan.session.sign(&way.mechanism(), key, &input)?)
        })?;
        way.output(signature).ok_or_else(|| {
            Failure::Other("the token returned no signature in the format of PKCS#11: ask its vendor".to_owned())
        })
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.token, self.name)
    }
}

impl SigningKey for TokenKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let way = self.0.ways.iter().find(|way| offered.contains(&way.scheme))?;
        Some(Box::new(TokenSigner {
            key: Arc::clone(&self.0),
            way: *way,
        }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.public_key.as_ref()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.kind {
            KeyKind::Rsa => SignatureAlgorithm::RSA,
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => SignatureAlgorithm::ECDSA,
            KeyKind::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

#[derive(Debug)]
struct TokenSigner {
    key: Arc<Inner>,
    way: Way,
}

impl Signer for TokenSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.key
            .sign(self.way, message)
            .map_err(|failure| rustls::Error::General(format!("{}: {failure}", self.key)))
    }

    fn scheme(&self) -> SignatureScheme {
        self.way.scheme
    }
}
