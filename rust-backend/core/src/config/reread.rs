// SPDX-License-Identifier: Apache-2.0
//! Files that are read again without a reload, other than those of a certificate with its key.

use std::sync::Arc;

use super::Config;
use super::renewal::{Replaced, bytes, expiry, not_valid};
use crate::backend::machines::MachineSet;
use crate::base::clock::unix_now;
use crate::base::diagnostics::Severity;
use crate::base::stamp::Stamp;
use crate::base::watched::Watched;
use crate::key_process::journal::{Change, Content};
use crate::key_process::protocol::Purpose;
use crate::key_process::watch_orders::{Settled, WatchedFiles};
use crate::keys::identity::Identity;
use crate::keys::key_file::KeyReader;

/// Who reads private keys for a purpose.
type Readers<'r, 'a> = &'r dyn Fn(Purpose) -> KeyReader<'a>;

impl Config {
    /// The files that are watched.
    pub(super) fn watched_others(&self) -> impl Iterator<Item = WatchedFiles> {
        let sets = self.proxies.machine_sets().into_iter();
        sets.map(|set| to_watch(set.watched()))
    }

    /// The certificates for backends with this number.
    pub(super) fn machine_set(&self, slot: u32) -> Option<Arc<MachineSet>> {
        let mut sets = self.proxies.machine_sets().into_iter();
        sets.find(|set| set.watched().slot() == slot)
    }

    /// In a child process: looks whether files have changed, and reads them again.
    pub(super) fn look_again(&self, watched: &Watched) {
        if watched.is_found_changed(unix_now() as u32) {
            self.read_changed(watched.slot(), &|_| KeyReader::Here(None));
        }
    }

    /// Reads the files with this number again if they have changed, and logs what becomes of them. Returns what is no longer
    /// used, if it is replaced.
    pub(super) fn read_again(&self, slot: u32, readers: Readers<'_, '_>) -> Option<Replaced> {
        let set = self.machine_set(slot)?;
        set.watched().is_changed().then(|| self.read_changed(slot, readers))?
    }

    fn read_changed(&self, slot: u32, readers: Readers<'_, '_>) -> Option<Replaced> {
        self.read_machines(&*self.machine_set(slot)?, &readers(Purpose::Client))
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
                self.note(Severity::Warning, text);
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
