// SPDX-License-Identifier: Apache-2.0
//! State of the httpd process that is kept over reloads.
//!
//! May use: base, crypto, key_process, keys, revocation, session.

pub(crate) mod counted_cache;
pub(crate) mod counted_checks;
pub mod counters;
pub mod expiry;
pub mod failure_limits;
mod status;
pub mod watch;

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::base::diagnostics::Severity;
use crate::base::lock::lock;
use crate::base::log_queue::LogQueue;
use crate::base::slots;
use crate::crypto;
use crate::key_process::journal::Journal;
use crate::key_process::parent::{KeyProcess, Launcher};
use crate::key_process::protocol::Purpose;
use crate::keys::identity::{Identity, IdentityStore};
use crate::keys::key_file::KeyReader;
use crate::keys::pass_phrase::{Dialogs, PassPhrases};
use crate::process::counters::Counters;
use crate::process::expiry::Expiry;
use crate::process::failure_limits::FailureLimits;
use crate::process::watch::Watch;
use crate::revocation::process::RevocationProcess;
use crate::session::tickets::TicketKeys;

/// Created once in the parent process, inherited by child processes, and kept over reloads.
#[derive(Debug, Default)]
pub struct Process {
    /// Certificates and keys of hosts that were read.
    pub identities: IdentityStore,
    /// Those for backends. `tls-keyd` has a key for one purpose only, so a file that is named for both is read for each.
    pub backend_identities: IdentityStore,
    /// Event counters.
    pub counters: Counters,
    /// Certificates that expire.
    pub expiry: Expiry,
    /// How many failures are logged.
    pub failure_limits: FailureLimits,
    /// Messages to be logged.
    pub log_queue: Arc<LogQueue>,
    /// Known pass phrases of private keys.
    pub pass_phrases: PassPhrases,
    /// The dialogs that ask for them.
    pub dialogs: Arc<Dialogs>,
    /// How child processes learn of files that were read again.
    pub journal: Option<Journal>,
    /// The process that has the private keys, if one can be started.
    pub key_process: OnceLock<KeyProcess>,
    /// The process that asks OCSP responders and fetches revocation lists, if one can be started.
    pub revocation: OnceLock<RevocationProcess>,
    /// Whether this process has read private keys itself.
    has_read_keys: AtomicBool,
    /// Handshakes whose time is limited while the MPM waits for the client.
    pub watch: Watch,
    ticket_keys: Mutex<Option<Arc<TicketKeys>>>,
    stopgap: OnceLock<Option<Arc<Identity>>>,
}

impl Process {
    /// A process that can start `tls-keyd`. `journal` is in memory that child processes will share, if there is some: by it they
    /// learn of renewed certificates.
    pub fn with_launcher(launcher: Arc<dyn Launcher>, journal: Option<&'static AtomicU64>) -> Self {
        let process = Self::default();
        let opened = journal.ok_or(io::ErrorKind::OutOfMemory.into()).and_then(Journal::new);
        let journal = opened.map_err(|error| {
            let text = format!("renewed certificates are used only after a reload: {error}");
            process.log_queue.add(Severity::Warning, text);
        });
        let keys = KeyProcess::new(Arc::clone(&launcher), Arc::clone(&process.log_queue));
        let revocation = RevocationProcess::new(launcher, Arc::clone(&process.log_queue));
        Self {
            journal: journal.ok(),
            key_process: OnceLock::from(keys),
            revocation: OnceLock::from(revocation),
            ..process
        }
    }

    /// Who reads private keys for this purpose. If this process does, keys are parsed when they are first needed, unless
    /// `at_once`.
    pub fn key_reader(&self, purpose: Purpose, at_once: bool) -> KeyReader<'_> {
        match self.key_process.get().filter(|keys| keys.is_on()) {
            Some(keys) => KeyReader::Process(keys, purpose),
            None => {
                self.has_read_keys.store(true, Relaxed);
                KeyReader::Here((!at_once).then_some(&self.log_queue))
            }
        }
    }

    /// Forgets what this process knows of private keys, because `tls-keyd` is to have them. True if it has had some: the
    /// parser of PEM leaves traces of them in memory, which cannot be erased.
    pub fn forget_keys(&self) -> bool {
        self.pass_phrases.forget();
        self.has_read_keys.swap(false, Relaxed)
    }

    /// Looks after `tls-keyd`. The parent process calls it regularly.
    ///
    /// With `has_ended`, this child of the parent process has ended.
    pub fn tick(&self, has_ended: Option<u32>) {
        if let Some(keys) = self.key_process.get() {
            keys.tick(has_ended);
        }
        if let Some(revocation) = self.revocation.get() {
            revocation.tick(has_ended);
        }
    }

    /// The process numbers of `tls-keyd` and those that belong to it ([`KeyProcess::processes`]), and of the one that asks OCSP
    /// responders; 0 for one that does not run.
    pub fn processes(&self) -> [u32; 6] {
        let [keys, watcher, bell, open, fetch] = self.key_process.get().map(KeyProcess::processes).unwrap_or_default();
        let revocation = self.revocation.get().map_or(0, RevocationProcess::pid);
        [keys, watcher, bell, open, fetch, revocation]
    }

    /// Drops what only the parent process needs. Called in a child process when it starts, of which `threads` serve
    /// connections.
    pub fn in_child(&self, threads: usize) {
        self.pass_phrases.forget();
        slots::set_child(true);
        if let Some(journal) = &self.journal {
            journal.in_child();
        }
        if let Some(keys) = self.key_process.get() {
            keys.in_child(threads);
        }
        if let Some(revocation) = self.revocation.get() {
            revocation.in_child();
        }
    }

    /// Removes what the parent process has made outside of its memory: it ends. Nothing happens in other processes.
    pub fn end(&self) {
        if let Some(keys) = self.key_process.get() {
            keys.end_control();
        }
    }

    /// The ticket keys of this server without a key file, kept over reloads, for sessions with `lifetime` seconds.
    pub fn ticket_keys(&self, lifetime: u32) -> Result<Arc<TicketKeys>, String> {
        let mut slot = lock(&self.ticket_keys);
        if let Some(keys) = &*slot {
            keys.keep_for(lifetime);
            return Ok(Arc::clone(keys));
        }
        let keys = TicketKeys::random(lifetime).ok_or("the system provides no random numbers")?;
        Ok(Arc::clone(slot.insert(Arc::new(keys))))
    }

    /// The same keys, if there are some.
    pub(crate) fn own_ticket_keys(&self) -> Option<Arc<TicketKeys>> {
        lock(&self.ticket_keys).clone()
    }

    /// The certificate of hosts without one, so that clients can get an error page: it is self-signed, for a name that
    /// does not exist. None if it cannot be created.
    pub fn stopgap(&self) -> Option<Arc<Identity>> {
        self.stopgap.get_or_init(|| make_stopgap().ok().map(Arc::new)).clone()
    }
}

fn make_stopgap() -> Result<Identity, Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["no-certificate-configured.invalid".to_owned()])?;
    params
        .distinguished_name
        .push(DnType::CommonName, "no certificate configured");
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing_key = crypto::signing_key(&der)?;
    Ok(Identity::generated(
        Path::new("(no certificate configured)"),
        certificate.der().clone(),
        Vec::new(),
        signing_key,
    ))
}
