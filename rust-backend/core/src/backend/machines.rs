// SPDX-License-Identifier: Apache-2.0
//! The certificates with which httpd logs in at backends. Renewed ones are used for connections that begin then.

use std::iter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::base::watched::Watched;
use crate::keys::identity::{self, Identity, IdentityError};
use crate::keys::key_file::KeyReader;

/// Where certificates for backends come from.
#[derive(Clone, Debug)]
pub enum Machines {
    /// A certificate with its key.
    One(Arc<Identity>),
    /// All that are in a file or a directory.
    Set(Arc<MachineSet>),
}

impl Machines {
    /// The certificates as they are now.
    pub(crate) fn current(&self) -> Vec<Arc<Identity>> {
        match self {
            Self::One(identity) => vec![identity.current().into_owned()],
            Self::Set(set) => set.current().to_vec(),
        }
    }
}

/// All certificates with their keys in a file or a directory: `SSLProxyMachineCertificateFile`, `SSLProxyMachineCertificatePath`.
#[derive(Debug)]
pub struct MachineSet {
    watched: Watched,
    path: PathBuf,
    chain: Option<PathBuf>,
    identities: RwLock<Arc<[Arc<Identity>]>>,
}

impl MachineSet {
    /// Reads the certificates at `path`. `chain` is a file with further intermediate certificates.
    pub(super) fn new(path: &Path, chain: Option<&Path>, reader: &KeyReader<'_>) -> Result<Self, IdentityError> {
        let places = iter::once(path).chain(chain).map(|path| path.to_owned().into());
        let set = Self {
            watched: Watched::new(places.collect()),
            path: path.to_owned(),
            chain: chain.map(Path::to_owned),
            identities: RwLock::new(Arc::new([])),
        };
        set.replace(set.read(reader)?);
        Ok(set)
    }

    /// The files.
    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// The file or the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is in the files now.
    pub(crate) fn read(&self, reader: &KeyReader<'_>) -> Result<Vec<Arc<Identity>>, IdentityError> {
        let read = identity::machine_identities(&self.path, self.chain.as_deref(), reader)?;
        Ok(read.into_iter().map(Arc::new).collect())
    }

    /// The certificates that are used now.
    pub(crate) fn current(&self) -> Arc<[Arc<Identity>]> {
        Arc::clone(&self.identities.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses these from now on.
    pub(crate) fn replace(&self, identities: Vec<Arc<Identity>>) {
        *self.identities.write().unwrap_or_else(PoisonError::into_inner) = identities.into();
    }
}
