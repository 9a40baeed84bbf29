// SPDX-License-Identifier: Apache-2.0
//! Files that are read again without a reload: certificates with their keys here, others in [`reread`](super::reread).
//!
//! With `tls-keyd`, the parent process is told which files have changed, reads them, and tells the child processes. Otherwise the
//! child processes look at the files that a handshake needs, as far as they can.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde_bytes::ByteBuf;

use super::Config;
use super::catalogue::Record;
use super::reread::Live;
use crate::backend::machines::Machines;
use crate::backend::profile::ProxyProfile;
use crate::base::clock::unix_now;
use crate::base::diagnostics::Severity;
use crate::base::watched::LOOK_EVERY;
use crate::key_process::parent::KeyProcess;
use crate::key_process::protocol::Purpose;
use crate::key_process::watch_orders::WatchedFiles;
use crate::keys::identity::{Identity, IdentityStore, Invalidity, Renewed, Watched};
use crate::keys::key_file::KeyReader;
use crate::settings::Watching;
use crate::site::Site;
use crate::trust::client::verifier::ClientAuth;
use crate::x509::{Certificate, Context};

/// How many certificates are read before the messages about them are logged.
const AT_ONCE: usize = 16;

/// What is no longer used after files were read again: certificates, whose keys `tls-keyd` may forget.
pub(super) type Replaced = Vec<Arc<Identity>>;

impl Config {
    /// Has all files watched that are read again, and `tls-certs` served. Called when the configuration begins to be used, in the
    /// parent process.
    pub(crate) fn begin_to_watch(&self) {
        if let Some(journal) = &self.process.journal {
            journal.forget();
        }
        if let Some(keys) = self.process.key_process.get().filter(|keys| keys.is_on()) {
            keys.set_control(self.control.as_ref());
            self.watch_files(keys);
            keys.supply();
        }
    }

    fn watch_files(&self, keys: &KeyProcess) {
        let (interval, watched) = match self.watching {
            Watching::Every(interval) if self.process.journal.is_some() => (interval, self.watched()),
            Watching::Every(_) | Watching::Off => (Watching::LONGEST, Vec::new()),
        };
        keys.watch_files(interval, watched);
    }

    fn watched(&self) -> Vec<WatchedFiles> {
        let stores = [&self.process.identities, &self.process.backend_identities];
        let identities = stores.into_iter().flat_map(IdentityStore::watched);
        identities
            .map(|watched| to_watch(&watched))
            .chain(self.watched_others())
            .collect()
    }

    /// Makes use of some of the files that have changed, if `tls-keyd` has the keys. Returns whether there may be more of
    /// them, for which the parent process calls this again when it has logged the messages about those.
    pub fn renew(&self) -> bool {
        self.ask_again();
        let Some(keys) = self.process.key_process.get().filter(|keys| keys.is_on()) else {
            return false;
        };
        if keys.wants_files() {
            self.watch_files(keys);
        }
        if keys.wants_catalogue() {
            keys.publish_catalogue(&Record::Whole(self.catalogue()));
        }
        for _ in 0..AT_ONCE {
            let Some(slot) = keys.next_changed() else {
                return false;
            };
            let reader = |purpose| KeyReader::Process(keys, purpose);
            let replaced = self.renew_certificate(slot, &reader);
            match replaced.or_else(|| self.read_again(slot, &reader)) {
                Some(replaced) => {
                    let ids = replaced.iter().filter_map(|identity| identity.key_id());
                    ids.for_each(|id| keys.is_replaced(id));
                }
                None => keys.read_later(slot),
            }
            self.tell_outcome(keys, slot);
        }
        true
    }

    /// Tells the process that watches what became of files.
    fn tell_outcome(&self, keys: &KeyProcess, slot: u32) {
        let known = self.process.identities.known_as(slot);
        let Some(known) = known.or_else(|| self.process.backend_identities.known_as(slot)) else {
            // Other files may be in a directory now.
            return self
                .watched_other(slot)
                .into_iter()
                .for_each(|files| keys.watch_again(files));
        };
        if keys.has_catalogue()
            && let Some(entry) = self.catalogue_entry(&known)
        {
            keys.amend_catalogue(&Record::Changed(entry));
        }
        keys.settle(slot, known.settled);
    }

    /// In a child process: makes use of what the parent process has told since the last call. The cost is negligible if that is
    /// nothing.
    pub(crate) fn catch_up(&self) {
        if let Some(journal) = &self.process.journal {
            journal.catch_up(|change| self.make_use_of(change));
        }
    }

    /// Whether child processes look at files themselves.
    pub(super) fn looks_itself(&self) -> bool {
        self.watching != Watching::Off && self.is_without_keyd
    }

    /// In a child process: looks whether the files of `identity`, which is about to be presented, have changed, if that is its
    /// task. True if another one is to be presented.
    pub(crate) fn look_at(&self, identity: &Identity) -> bool {
        self.looks_itself() && self.look_in(&self.process.identities, identity)
    }

    /// In a child process that is about to continue the handshake of a client, which is verified by `auth`: looks whether the
    /// files of CAs and tickets have changed, if that is its task.
    pub(crate) fn look_for_client(&self, auth: Option<&Arc<ClientAuth>>) {
        if self.looks_itself() {
            let cas = auth.into_iter().flat_map(|auth| auth.ca_sets());
            let cas = cas.map(|set| Live::Cas(Arc::clone(set)));
            let seeds = self.seeds.iter().map(|file| Live::Seed(Arc::clone(file)));
            cas.chain(seeds).for_each(|live| self.look_again(&live));
        }
    }

    fn look_in(&self, store: &IdentityStore, identity: &Identity) -> bool {
        match store.has_changed(identity, unix_now() as u32, LOOK_EVERY) {
            Some(slot) => self.renew_certificate(slot, &|_| KeyReader::Here(None)).is_some(),
            None => false,
        }
    }

    /// In a child process that is about to connect to a backend: makes use of what is new of the certificates for it.
    pub(crate) fn prepare_for_backend(&self, profile: &ProxyProfile) {
        self.catch_up();
        if !self.looks_itself() {
            return;
        }
        for machines in profile.machines() {
            match machines {
                Machines::One(identity) => {
                    self.look_in(&self.process.backend_identities, identity);
                }
                Machines::Set(set) => self.look_again(&Live::Machines(Arc::clone(set))),
            }
        }
        if let Some(cas) = profile.cas() {
            self.look_again(&Live::Cas(Arc::clone(cas)));
        }
    }

    /// Reads the certificate `slot` of a host, or for backends, again, and logs what becomes of it. Returns the one that is no
    /// longer used, if it is replaced.
    fn renew_certificate<'a>(&self, slot: u32, reader: &dyn Fn(Purpose) -> KeyReader<'a>) -> Option<Replaced> {
        let journal = self.process.journal.as_ref();
        let server = |old: &_, new: &_| self.objection(slot, old, new);
        let client = |_: &_, new: &Arc<Identity>| not_valid(new);
        let renewed = self
            .process
            .identities
            .renew(slot, &reader(Purpose::Server), journal, server)
            .or_else(|| {
                let identities = &self.process.backend_identities;
                identities.renew(slot, &reader(Purpose::Client), journal, client)
            })?;
        let (severity, text, replaced) = match renewed {
            Renewed::Used(old, new) => {
                if let Some((_, site)) = self.sites_with(slot).find(|(_, site)| site.stapling().is_some()) {
                    match reader(Purpose::Server) {
                        KeyReader::Process(..) => self.order_staple(site, &new),
                        KeyReader::Here(_) => self.want_staple(site, &new),
                    }
                }
                let mut hosts = self.sites_with(slot);
                let host = hosts.next().map_or("backends", |(_, site)| &site.name);
                let text = format!(
                    "{host}: the renewed certificate in {} is used now, {}",
                    new.name(),
                    expiry(&new)
                );
                (Severity::Notice, text, Some(vec![old]))
            }
            Renewed::Refused(old, why) => {
                let text = format!(
                    "the certificate in {} has changed and is not used: {why}; the one of before is used, {}",
                    old.name(),
                    expiry(&old)
                );
                (Severity::Warning, text, None)
            }
            Renewed::Same => return None,
        };
        self.process.log_queue.add(severity, text);
        replaced
    }

    /// Why `new` must not replace `old`.
    fn objection(&self, slot: u32, old: &Arc<Identity>, new: &Arc<Identity>) -> Option<String> {
        if let Some(why) = not_valid(new) {
            return Some(why);
        }
        for (server, site) in self.sites_with(slot) {
            let names: Vec<&str> = self.chains.values().flat_map(|index| index.names_of(server)).collect();
            let lacked = old.uncovered(&names);
            if let Some(name) = new.uncovered(&names).into_iter().find(|name| !lacked.contains(name)) {
                return Some(format!(
                    "it is not for {name}, a name of the virtual host {}",
                    site.name
                ));
            }
        }
        None
    }

    /// The servers that present the identity `slot`.
    fn sites_with(&self, slot: u32) -> impl Iterator<Item = (u32, &Site)> {
        let sites = self.sites.iter().enumerate();
        sites.filter_map(move |(server, site)| {
            let site = site.as_ref().filter(|site| site.presents(slot))?;
            Some((server as u32, site))
        })
    }
}

/// Why a new certificate must not be used at this time.
pub(super) fn not_valid(new: &Identity) -> Option<String> {
    Some(match new.invalidity(unix_now())? {
        invalidity @ Invalidity::Expired => format!("it {invalidity}"),
        invalidity @ Invalidity::NotYet => format!("it {invalidity} (is the clock of this machine right?)"),
    })
}

fn to_watch(watched: &Watched) -> WatchedFiles {
    WatchedFiles {
        slot: watched.slot,
        settled: watched.settled.clone(),
        paths: watched.files.paths().map(|path| bytes(path)).collect(),
    }
}

pub(super) fn bytes(path: &Path) -> ByteBuf {
    ByteBuf::from(path.as_os_str().as_bytes())
}

/// Until when an identity can be used, for people.
pub(super) fn expiry(identity: &Identity) -> String {
    let leaf = identity.leaf();
    let parsed = Certificate::parse(&leaf).ok();
    let end = parsed.and_then(|certificate| certificate.variable("V_END", &Context::at(unix_now())));
    match end {
        Some(end) if identity.validity().1 < unix_now() => format!("which has expired ({end})"),
        Some(end) => format!("which expires on {end}"),
        None => "whose expiry is not known".to_owned(),
    }
}
