// SPDX-License-Identifier: Apache-2.0
//! Files that are read again without a reload, other than those of a certificate with its key.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde_bytes::ByteBuf;

use super::Config;
use super::renewal::{Replaced, bytes, expiry, not_valid};
use super::seed::SeedFile;
use crate::backend::machines::MachineSet;
use crate::base::clock::unix_now;
use crate::base::diagnostics::Severity;
use crate::base::stamp::Stamp;
use crate::base::watched::Watched;
use crate::key_process::journal::{Change, Content};
use crate::key_process::parent::KeyProcess;
use crate::key_process::protocol::Purpose;
use crate::key_process::watch_orders::{Settled, WatchedFiles};
use crate::keys::identity::Identity;
use crate::keys::key_file::KeyReader;
use crate::session::tickets::{RatchetState, SealedState};
use crate::trust::anchors::Anchor;
use crate::trust::ca_set::CaSet;

/// Who reads private keys for a purpose.
type Readers<'r, 'a> = &'r dyn Fn(Purpose) -> KeyReader<'a>;

/// What is read again.
pub(super) enum Live {
    /// Certificates for backends.
    Machines(Arc<MachineSet>),
    /// Trusted CAs, or those whose names are sent.
    Cas(Arc<CaSet>),
    /// A seed of ticket keys.
    Seed(Arc<SeedFile>),
}

impl Live {
    fn watched(&self) -> &Watched {
        match self {
            Self::Machines(set) => set.watched(),
            Self::Cas(set) => set.watched(),
            Self::Seed(file) => file.watched(),
        }
    }
}

impl Config {
    fn live(&self) -> impl Iterator<Item = Live> {
        let machines = self.proxies.machine_sets().into_iter().map(Live::Machines);
        let cas = self.proxies.ca_sets().into_iter();
        let cas = cas.chain(self.client_cas.iter().cloned()).map(Live::Cas);
        let seeds = self.seeds.iter().cloned().map(Live::Seed);
        machines.chain(cas).chain(seeds)
    }

    fn live_with(&self, slot: u32) -> Option<Live> {
        self.live().find(|live| live.watched().slot() == slot)
    }

    /// The files that are watched.
    pub(super) fn watched_others(&self) -> impl Iterator<Item = WatchedFiles> {
        let live = self.live().filter(|live| !live.watched().places().is_empty());
        live.map(|live| to_watch(live.watched()))
    }

    /// Those with this number.
    pub(super) fn watched_other(&self, slot: u32) -> Option<WatchedFiles> {
        self.live_with(slot).map(|live| to_watch(live.watched()))
    }

    /// In a child process: makes use of what the parent process has told.
    pub(super) fn make_use_of(&self, change: Change) {
        let slot = change.slot;
        let door = || self.process.key_process.get().and_then(KeyProcess::door);
        match (change.content, self.live_with(slot)) {
            (Content::Identities(certificates), Some(Live::Machines(set))) => {
                let Some(door) = door() else { return };
                let told = certificates.iter();
                let told = told.filter_map(|certificate| Identity::told(certificate, &door));
                set.replace(told.map(Arc::new).collect());
            }
            (Content::Identities(certificates), None) => {
                if let (Some(door), [certificate]) = (door(), certificates.as_slice()) {
                    let stores = [&self.process.identities, &self.process.backend_identities];
                    stores.iter().for_each(|store| store.replace(slot, certificate, &door));
                }
            }
            (Content::Authorities(told), Some(Live::Cas(set))) => {
                let path = |bytes: &ByteBuf| PathBuf::from(OsStr::from_bytes(bytes));
                let told = told.into_iter();
                set.told(
                    told.map(|(file, der)| (path(&file), CertificateDer::from(der.into_vec())))
                        .collect(),
                );
            }
            (Content::TicketState(period, sealed), Some(Live::Seed(file))) => {
                let sealed = sealed.into_vec();
                self.use_told_seed(&file, &SealedState { period, sealed });
            }
            // It belongs to another configuration.
            _ => {}
        }
    }

    /// In a child process that looks at files itself: reads those again that have changed.
    pub(super) fn look_again(&self, live: &Live) {
        if live.watched().is_found_changed(unix_now() as u32) {
            self.read_changed(live, &|_| KeyReader::Here(None));
        }
    }

    /// Reads the files with this number again if they have changed, and logs what becomes of them. Returns the certificates that are
    /// no longer used, if some are replaced.
    pub(super) fn read_again(&self, slot: u32, readers: Readers<'_, '_>) -> Option<Replaced> {
        let live = self.live_with(slot)?;
        live.watched().is_changed().then(|| self.read_changed(&live, readers))?
    }

    fn read_changed(&self, live: &Live, readers: Readers<'_, '_>) -> Option<Replaced> {
        match live {
            Live::Machines(set) => self.read_machines(set, &readers(Purpose::Client)),
            Live::Cas(set) => {
                self.read_cas(set);
                None
            }
            Live::Seed(file) => {
                self.read_seed(file, &readers(Purpose::Server));
                None
            }
        }
    }

    fn read_cas(&self, set: &CaSet) {
        let name = set.name();
        let read = set.read().and_then(|read| {
            if let Some((new, _)) = &read {
                let bytes = |anchor: &Anchor| (bytes(&anchor.file), ByteBuf::from(anchor.der.to_vec()));
                let all = new.list().iter().map(bytes).collect();
                self.tell(set.watched().slot(), Content::Authorities(all))?;
            }
            Ok(read)
        });
        match read {
            Ok(Some((new, warnings))) => {
                let text = format!(
                    "{name} has changed, and is used from now on: there are {} CAs",
                    new.list().len()
                );
                self.note(Severity::Notice, text);
                for warning in warnings {
                    self.note(Severity::Warning, warning);
                }
                set.replace(new);
            }
            Ok(None) => {}
            Err(why) => {
                let text = format!("{name} has changed and is not used: {why}; the CAs of before are used");
                self.refuse(set.watched(), text);
            }
        }
    }

    fn read_seed(&self, file: &SeedFile, reader: &KeyReader<'_>) {
        let (slot, path, now) = (file.watched().slot(), file.path().display(), unix_now());
        let read = file.read(now, reader).and_then(|state| {
            if let Some(state) = &state {
                let own = self.process.own_ticket_keys();
                let sealed = own.and_then(|own| own.seal_state(slot, state));
                let sealed = sealed.ok_or("it cannot be encrypted for httpd's processes; reload httpd")?;
                self.tell(slot, Content::TicketState(sealed.period, sealed.sealed.into()))?;
            }
            Ok(state)
        });
        match read {
            Ok(Some(state)) => {
                file.keys().replace(state, now);
                let text = format!(
                    "TLSSessionTicketKeyFile {path} has changed: tickets have keys of the new seed from now on, and earlier \
                     sessions are not resumed"
                );
                self.note(Severity::Notice, text);
            }
            Ok(None) => {}
            Err(why) => {
                let text = format!(
                    "TLSSessionTicketKeyFile {path} has changed and is not used: {why}; the keys of the seed of before are used"
                );
                self.refuse(file.watched(), text);
            }
        }
    }

    /// In a child process: uses the keys of which the parent process has told. If it cannot know them, it must not go on with those
    /// of before, and uses some that no other process has.
    fn use_told_seed(&self, file: &SeedFile, sealed: &SealedState) {
        let own = self.process.own_ticket_keys();
        let state = own.and_then(|own| own.open_state(file.watched().slot(), sealed));
        if let Some(state) = state.or_else(RatchetState::random) {
            file.keys().replace(state, unix_now());
        }
    }

    fn read_machines(&self, set: &MachineSet, reader: &KeyReader<'_>) -> Option<Replaced> {
        let old = set.current();
        let path = set.path().display();
        let read = set.read(reader).map_err(|error| error.to_string());
        let outcome = read.and_then(|new| {
            if is_same(&old, &new) {
                return Ok(None);
            }
            let is_new = |identity: &&Arc<Identity>| !old.iter().any(|old| old.is_same(identity));
            if let Some((identity, why)) = new
                .iter()
                .filter(is_new)
                .find_map(|identity| Some((identity, not_valid(identity)?)))
            {
                return Err(format!("{}: {why}", identity.name()));
            }
            let told = new.iter().filter_map(|identity| identity.remote_certificate());
            self.tell(set.watched().slot(), Content::Identities(told.collect()))?;
            Ok(Some(new))
        });
        match outcome {
            Ok(Some(new)) => {
                let soonest = new.iter().min_by_key(|identity| identity.validity().1);
                let expiry = soonest.map(|identity| expiry(identity)).unwrap_or_default();
                self.note(
                    Severity::Notice,
                    format!("backends: the renewed certificates in {path} are used now, the first of {expiry}"),
                );
                set.replace(new);
                Some(old.to_vec())
            }
            Ok(None) => None,
            Err(why) => {
                let text = format!(
                    "the certificates in {path} have changed and are not used: {why}; those of before are used"
                );
                self.refuse(set.watched(), text);
                None
            }
        }
    }

    /// Tells child processes what is used from now on. The error says what to do.
    fn tell(&self, slot: u32, content: Content) -> Result<(), String> {
        match &self.process.journal {
            Some(journal) if !self.is_without_keyd => journal.append(&Change { slot, content }),
            _ => Ok(()),
        }
    }

    fn refuse(&self, watched: &Watched, text: String) {
        watched.refuse();
        self.note(Severity::Warning, text);
    }

    fn note(&self, severity: Severity, text: String) {
        self.process.log_queue.add(severity, text);
    }
}

fn is_same(old: &[Arc<Identity>], new: &[Arc<Identity>]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.is_same(new))
}

fn to_watch(watched: &Watched) -> WatchedFiles {
    WatchedFiles {
        slot: watched.slot(),
        settled: Settled {
            stamp: watched.stamp().map(Stamp::to_bits),
            since: unix_now(),
            refused: None,
        },
        paths: watched.all_paths().iter().map(|path| bytes(path)).collect(),
    }
}
