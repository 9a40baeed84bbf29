// SPDX-License-Identifier: Apache-2.0
//! Renewed certificates, which are used without a reload.
//!
//! With `tls-keyd`, the parent process is told which files have changed, reads them, and tells the child processes. Otherwise the
//! child processes look at the files of the certificates that they present, as far as they can.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::Config;
use super::catalogue::Record;
use crate::base::clock::unix_now;
use crate::base::diagnostics::Severity;
use crate::key_process::parent::KeyProcess;
use crate::key_process::protocol::Purpose;
use crate::key_process::watch_orders::WatchedFiles;
use crate::keys::identity::{Identity, Invalidity, Renewed, Watched};
use crate::keys::key_file::KeyReader;
use crate::settings::Watching;
use crate::site::Site;
use crate::x509::{Certificate, Context};

/// How many certificates are read before the messages about them are logged.
const AT_ONCE: usize = 16;

/// How often a child process that watches files itself looks at those of a certificate, in seconds.
const LOOK_EVERY: u32 = 1;

impl Config {
    /// Has the files of all certificates watched, and `tls-certs` served. Called when the configuration begins to be used, in the
    /// parent process.
    pub(crate) fn begin_to_watch(&self) {
        self.process.identities.forget_renewals();
        if let Some(keys) = self.process.key_process.get().filter(|keys| keys.is_on()) {
            keys.set_control(self.control.as_ref());
            self.watch_files(keys);
            keys.supply();
        }
    }

    fn watch_files(&self, keys: &KeyProcess) {
        let (interval, watched) = match self.watching {
            Watching::Every(interval) if self.process.identities.has_journal() => {
                (interval, self.process.identities.watched())
            }
            Watching::Every(_) | Watching::Off => (Watching::LONGEST, Vec::new()),
        };
        keys.watch_files(interval, watched.iter().map(to_watch).collect());
    }

    /// Makes use of some of the certificates that were renewed, if `tls-keyd` has the keys. Returns whether there may be more of
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
        let reader = KeyReader::Process(keys, Purpose::Server);
        for _ in 0..AT_ONCE {
            let Some(slot) = keys.next_changed() else {
                return false;
            };
            match self.renew_one(slot, &reader) {
                Some(old) => old.key_id().into_iter().for_each(|id| keys.is_replaced(id)),
                None => keys.read_later(slot),
            }
            self.tell_outcome(keys, slot);
        }
        true
    }

    /// Tells the process that watches what became of the files of an identity.
    fn tell_outcome(&self, keys: &KeyProcess, slot: u32) {
        let Some(known) = self.process.identities.known_as(slot) else {
            return;
        };
        if keys.has_catalogue()
            && let Some(entry) = self.catalogue_entry(&known)
        {
            keys.amend_catalogue(&Record::Changed(entry));
        }
        keys.settle(slot, known.settled);
    }

    /// In a child process: makes use of certificates of whose renewal the parent process has told.
    pub(crate) fn catch_up(&self) {
        self.process.catch_up();
    }

    /// In a child process: looks whether the files of `identity`, which is about to be presented, have changed, if that is its
    /// task. True if another one is to be presented.
    pub(crate) fn look_at(&self, identity: &Identity) -> bool {
        if identity.is_remote() || self.watching == Watching::Off {
            return false;
        }
        let now = unix_now() as u32;
        match self.process.identities.has_changed(identity, now, LOOK_EVERY) {
            Some(slot) => self.renew_one(slot, &KeyReader::Here(None)).is_some(),
            None => false,
        }
    }

    /// Reads the identity `slot` again, and logs what becomes of it. Returns the one that is no longer used, if it is replaced.
    fn renew_one(&self, slot: u32, reader: &KeyReader<'_>) -> Option<Arc<Identity>> {
        let objection = |old: &_, new: &_| self.objection(slot, old, new);
        let (severity, text, replaced) = match self.process.identities.renew(slot, reader, objection)? {
            Renewed::Used(old, new) => {
                if let Some((_, site)) = self.sites_with(slot).find(|(_, site)| site.stapling().is_some()) {
                    match reader {
                        KeyReader::Process(..) => self.order_staple(site, &new),
                        KeyReader::Here(_) => self.want_staple(site, &new),
                    }
                }
                let host = self
                    .sites_with(slot)
                    .next()
                    .map(|(_, site)| &*site.name)
                    .unwrap_or_default();
                let text = format!(
                    "{host}: the renewed certificate in {} is used now, {}",
                    new.name(),
                    expiry(&new)
                );
                (Severity::Notice, text, Some(old))
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
        if let Some(invalidity) = new.invalidity(unix_now()) {
            return Some(match invalidity {
                Invalidity::Expired => format!("it {invalidity}"),
                Invalidity::NotYet => format!("it {invalidity} (is the clock of this machine right?)"),
            });
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

fn to_watch(watched: &Watched) -> WatchedFiles {
    let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let files = &watched.files;
    WatchedFiles {
        slot: watched.slot,
        settled: watched.settled.clone(),
        certificate: bytes(&files.certificate),
        key: files.key.as_deref().map(bytes),
        chain: files.chain.as_deref().map(bytes),
    }
}

/// Until when an identity can be used, for people.
fn expiry(identity: &Identity) -> String {
    let leaf = identity.leaf();
    let parsed = Certificate::parse(&leaf).ok();
    let end = parsed.and_then(|certificate| certificate.variable("V_END", &Context::at(unix_now())));
    match end {
        Some(end) if identity.validity().1 < unix_now() => format!("which has expired ({end})"),
        Some(end) => format!("which expires on {end}"),
        None => "whose expiry is not known".to_owned(),
    }
}
