// SPDX-License-Identifier: Apache-2.0
//! A private key in `tls-keyd`, as rustls uses it.

use std::fmt;
use std::sync::Arc;

use rustls::sign::{Signer, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};

use super::door::{Door, SignError};
use super::parent::Released;
use super::protocol::{KeyId, KeyInfo, Refusal};
use crate::base::host_name::HostName;
use crate::crypto::schemes;

/// A key in `tls-keyd`. When it is dropped in the parent process, `tls-keyd` is told to forget it.
pub struct RemoteKey {
    pub(super) id: KeyId,
    pub(super) schemes: Arc<[SignatureScheme]>,
    pub(super) door: Arc<Door>,
    pub(super) released: Released,
    /// Where it comes from, if it is that of a certificate in a store: it is looked up again if `tls-keyd` no longer has it.
    pub(super) place: Option<Arc<StorePlace>>,
}

/// A name in a store of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StorePlace {
    /// The number of the store.
    pub store: u32,
    /// The name.
    pub name: HostName,
}

impl RemoteKey {
    /// The key `id`, which httpd's parent process knows, for a child process.
    pub fn in_child(id: KeyId, schemes: &[u16], door: Arc<Door>) -> Self {
        Self {
            id,
            schemes: schemes.iter().copied().map(SignatureScheme::from).collect(),
            door,
            released: Released::default(),
            place: None,
        }
    }

    /// The same for a key of a certificate in a store.
    pub fn stored(info: &KeyInfo, door: Arc<Door>, place: StorePlace) -> Self {
        let mut key = Self::in_child(info.id, &info.schemes, door);
        key.place = Some(Arc::new(place));
        key
    }

    /// Its number.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The numbers of its signature schemes.
    pub fn schemes(&self) -> Vec<u16> {
        self.schemes.iter().copied().map(u16::from).collect()
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for RemoteKey {
    fn drop(&mut self) {
        self.released.add(self.id);
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner {
            id: self.id,
            scheme,
            door: Arc::clone(&self.door),
            place: self.place.clone(),
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        schemes::algorithm_of(&self.schemes)
    }
}

#[derive(Debug)]
struct RemoteSigner {
    id: KeyId,
    scheme: SignatureScheme,
    door: Arc<Door>,
    place: Option<Arc<StorePlace>>,
}

impl RemoteSigner {
    fn try_to_sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signed = self.door.sign(self.id, u16::from(self.scheme), message);
        match (&signed, &self.place) {
            // It was not used for long, or this is another `tls-keyd`.
            (Err(SignError::Refused(Refusal::UnknownKey)), Some(place)) => {
                self.door.look_up(place.store, &place.name, 0)?;
                self.door.sign(self.id, u16::from(self.scheme), message)
            }
            _ => signed,
        }
    }
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.try_to_sign(message)
            .map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
