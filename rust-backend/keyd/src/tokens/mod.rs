// SPDX-License-Identifier: Apache-2.0
//! Keys and certificates in tokens (smart cards, HSMs) through PKCS#11 modules.
//!
//! [`Tokens`] has all modules and tokens of the process. A [`TokenKey`] signs in its token. Any number of threads may
//! use both at the same time: each signature has a session with the token for itself.

mod certificates;
mod failure;
mod gate;
mod key;
mod modules;
mod objects;
mod pin;
mod public_key;
mod schemes;
mod token;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mod_tls_core::base::lock::lock;
use mod_tls_core::keys::pkcs11_uri::{ObjectKind, Pkcs11Uri};
use rustls_pki_types::CertificateDer;
use zeroize::Zeroizing;

use self::failure::Failure;
pub(crate) use self::key::TokenKey;
use self::modules::Module;
use self::objects::Wanted;
use self::token::Token;

/// Asks for a PIN with a prompt. The error says why there is no answer.
pub(crate) type Ask<'a> = dyn FnMut(&str) -> Result<Zeroizing<String>, String> + 'a;

/// Where a module is once it was loaded. A module that hangs while it is loaded locks its own place alone.
type Place = Arc<Mutex<Option<Arc<Module>>>>;

/// All modules that were loaded, and the tokens that were found by them. They stay until the process ends.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    modules: Mutex<Vec<(PathBuf, Place)>>,
    tokens: Mutex<Vec<Arc<Token>>>,
}

impl Tokens {
    /// The private key that `uri` names. The token is logged in to, if necessary with the PIN that `ask` returns. The
    /// error names the URI, the token and the object, and says how to mend it.
    pub(crate) fn key(&self, uri: &Pkcs11Uri, ask: &mut Ask<'_>) -> Result<TokenKey, String> {
        let mut find = || {
            check_kind(uri, ObjectKind::PrivateKey)?;
            let token = self.token(uri)?;
            token.log_in(uri, ask)?;
            TokenKey::find(token, Wanted::private_key(uri))
        };
        find().map_err(|failure| format!("{uri}: {failure}"))
    }

    /// The certificate that `uri` names, followed by its issuers as far as they are in the token, without a self-issued
    /// one at the end. `ask` is called only if the token shows its certificates to nobody without a PIN.
    pub(crate) fn certificates(
        &self,
        uri: &Pkcs11Uri,
        ask: &mut Ask<'_>,
    ) -> Result<Vec<CertificateDer<'static>>, String> {
        let mut find = || {
            check_kind(uri, ObjectKind::Certificate)?;
            let token = self.token(uri)?;
            if let Some(chain) = certificates::find(&token, uri)? {
                return Ok(chain);
            }
            token.log_in(uri, ask)?;
            certificates::find(&token, uri)?.ok_or_else(|| certificates::missing(&token, uri))
        };
        find().map_err(|failure: Failure| format!("{uri}: {failure}"))
    }

    /// The only token that `uri` matches.
    fn token(&self, uri: &Pkcs11Uri) -> Result<Arc<Token>, Failure> {
        let file = modules::file_of(uri)?;
        let module = self.module(&file)?;
        let found = Token::find(&module, uri)?;
        let mut known = lock(&self.tokens);
        if let Some(token) = known.iter().find(|token| token.is_same_as(&found)) {
            return Ok(Arc::clone(token));
        }
        let found = Arc::new(found);
        known.push(Arc::clone(&found));
        Ok(found)
    }

    fn module(&self, file: &Path) -> Result<Arc<Module>, Failure> {
        let place = self.place(file);
        let mut slot = lock(&place);
        if let Some(module) = &*slot {
            return Ok(Arc::clone(module));
        }
        let module = Module::load(file)?;
        Ok(Arc::clone(slot.insert(Arc::new(module))))
    }

    fn place(&self, file: &Path) -> Place {
        let mut places = lock(&self.modules);
        if let Some((_, place)) = places.iter().find(|(of, _)| of == file) {
            return Arc::clone(place);
        }
        let place = Place::default();
        places.push((file.to_owned(), Arc::clone(&place)));
        place
    }
}

/// Refuses a URI whose `type` says that it names something else than `wanted`.
fn check_kind(uri: &Pkcs11Uri, wanted: ObjectKind) -> Result<(), Failure> {
    match uri.kind {
        Some(kind) if kind != wanted => Err(Failure::Other(format!(
            "type={} names another kind of object than is needed here: write type={}, or leave it out",
            kind.name(),
            wanted.name()
        ))),
        _ => Ok(()),
    }
}

/// Locks a mutex. What it guards is complete even if a thread has panicked.
#[cfg(test)]
mod tests;
