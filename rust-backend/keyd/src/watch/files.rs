// SPDX-License-Identifier: Apache-2.0
//! Notices that files have changed, those of certificates above all.
//!
//! The kernel tells of changes in directories (inotify(7)). Where it cannot, as on network file systems, the files are looked at
//! from time to time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::base::stamp::{Stamp, hash_of};
use mod_tls_core::key_process::inquiry::FileState;
use mod_tls_core::key_process::watch_orders::{Settled, WatchedFiles};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::fs::statfs;
use rustix::io::Errno;

use super::links;

/// Files that belong together are seldom written at once: how long nothing must have changed before they are looked at,
const QUIET: Duration = Duration::from_millis(200);

/// and how long that may delay it.
const LATEST: Duration = Duration::from_millis(600);

/// File systems whose changes the kernel does not learn of if others make them (statfs(2)).
const REMOTE: [u64; 12] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x6573_5546, // FUSE
    0x0102_1997, // 9P
    0x00c3_6400, // Ceph
    0x0bd0_0bd0, // Lustre
    0x5346_414f, // AFS
    0x7375_7245, // Coda
    0x0116_1970, // GFS2
    0x7461_636f, // OCFS2
];

/// The number of a watched directory, and a hash of the name in it, or [`ANY`].
type Key = (i32, u64);

/// Stands for all names in a directory.
const ANY: u64 = 0;

/// The files that are watched.
pub(super) struct Files {
    inotify: Option<OwnedFd>,
    sites: HashMap<u32, Site>,
    /// Which sites depend on an entry of a directory. A hash that two names share costs a look.
    by_entry: BTreeSet<(i32, u64, u32)>,
    /// The watched directories that are on a remote file system.
    remote: BTreeSet<i32>,
    /// When sites are to be looked at, and when at the latest.
    pending: BTreeMap<u32, (Instant, Instant)>,
    interval: Duration,
    /// When the sites are looked at that the kernel does not watch.
    next_round: Option<Instant>,
    changed: Vec<u32>,
    messages: Vec<(Severity, String)>,
    has_complained: bool,
}

struct Site {
    paths: Vec<PathBuf>,
    /// None if the files could not be looked at.
    stamp: Option<Stamp>,
    /// What became of them when httpd's parent process last read them.
    settled: Settled,
    keys: Vec<Key>,
    /// Whether the kernel does not watch all of them.
    is_polled: bool,
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok(),
            sites: HashMap::new(),
            by_entry: BTreeSet::new(),
            remote: BTreeSet::new(),
            pending: BTreeMap::new(),
            interval: Duration::MAX,
            next_round: None,
            changed: Vec::new(),
            messages: Vec::new(),
            has_complained: false,
        }
    }

    /// Where the kernel tells.
    pub(super) fn inotify(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = self.pending.values().map(|(due, _)| *due).min();
        [first, self.next_round].into_iter().flatten().min()
    }

    /// Watches the files in `list` in place of those of before.
    pub(super) fn watch(&mut self, interval: Duration, list: Vec<WatchedFiles>, now: Instant) {
        let mut old = std::mem::take(&mut self.sites);
        self.interval = interval.max(Duration::from_secs(1));
        self.has_complained = false;
        for watched in list {
            let paths = paths_of(&watched);
            let known = old
                .remove(&watched.slot)
                .filter(|site| site.paths == paths && !site.is_polled);
            let mut site = known.unwrap_or(Site {
                paths,
                stamp: None,
                settled: watched.settled.clone(),
                keys: Vec::new(),
                is_polled: false,
            });
            site.stamp = watched.settled.stamp.map(Stamp::from_bits);
            site.settled = watched.settled;
            let is_new = site.keys.is_empty();
            self.sites.insert(watched.slot, site);
            if is_new {
                self.follow(watched.slot);
            }
            // It may have changed before it was watched.
            self.look_at(watched.slot);
        }
        for (slot, site) in old {
            self.leave(slot, &site.keys);
            self.pending.remove(&slot);
        }
        let is_polling = self.sites.values().any(|site| site.is_polled);
        self.next_round = is_polling.then(|| now + self.interval);
    }

    /// Watches these files in place of those with the same number. If they are the same, nothing is looked at: what this process
    /// cannot see, httpd's parent process may see, and neither must call the other again and again for that.
    pub(super) fn watch_again(&mut self, watched: WatchedFiles) {
        let slot = watched.slot;
        let Some(site) = self.sites.get_mut(&slot) else { return };
        let paths = paths_of(&watched);
        let is_other = site.paths != paths;
        site.settled = watched.settled;
        if is_other {
            site.stamp = site.settled.stamp.map(Stamp::from_bits);
            site.paths = paths;
            self.follow(slot);
            self.look_at(slot);
        }
    }

    /// Watches the entries of directories on which the site depends now.
    fn follow(&mut self, slot: u32) {
        let Some(site) = self.sites.get_mut(&slot) else { return };
        let old = std::mem::take(&mut site.keys);
        let paths = site.paths.clone();
        let mut keys = Vec::new();
        let mut is_polled = false;
        for path in paths {
            let entries = links::entries(&path).into_iter();
            let mut wanted: Vec<_> = entries
                .map(|entry| (entry.directory, hash_of(entry.name.as_bytes())))
                .collect();
            if path.is_dir() {
                wanted.push((path, ANY));
            }
            for (directory, name) in wanted {
                match self.directory(&directory) {
                    Ok(number) => {
                        is_polled |= self.remote.contains(&number);
                        keys.push((number, name));
                    }
                    Err(error) => {
                        is_polled = true;
                        self.complain(&directory, error);
                    }
                }
            }
        }
        keys.sort_unstable();
        keys.dedup();
        self.by_entry
            .extend(keys.iter().map(|(number, name)| (*number, *name, slot)));
        let gone: Vec<_> = old.into_iter().filter(|key| !keys.contains(key)).collect();
        self.leave(slot, &gone);
        if let Some(site) = self.sites.get_mut(&slot) {
            site.keys = keys;
            site.is_polled = is_polled;
        }
        if is_polled && self.next_round.is_none() {
            self.next_round = Instant::now().checked_add(self.interval);
        }
    }

    /// No longer watches entries for this site, and directories of which no other one depends.
    fn leave(&mut self, slot: u32, keys: &[Key]) {
        for &(number, name) in keys {
            self.by_entry.remove(&(number, name, slot));
            let is_used = self.in_directory(number).next().is_some();
            if let Some(inotify) = self.inotify.as_ref().filter(|_| !is_used) {
                // It is gone already if the directory is.
                let _ = inotify::remove_watch(inotify, number);
                self.remote.remove(&number);
            }
        }
    }

    fn in_directory(&self, number: i32) -> impl Iterator<Item = u32> {
        let range = self.by_entry.range((number, 0, 0)..=(number, u64::MAX, u32::MAX));
        range.map(|(_, _, slot)| *slot)
    }

    /// Watches a directory. The same one has the same number each time.
    fn directory(&mut self, path: &Path) -> Result<i32, Errno> {
        let inotify = self.inotify.as_ref().ok_or(Errno::MFILE)?;
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let number = inotify::add_watch(inotify, path, flags)?;
        if self.in_directory(number).next().is_none()
            && let Ok(system) = statfs(path)
            && REMOTE.contains(&(u64::from(system.f_type.cast_unsigned() as u32)))
        {
            self.remote.insert(number);
        }
        Ok(number)
    }

    /// Says once that something is not watched by the kernel.
    fn complain(&mut self, directory: &Path, error: Errno) {
        // It has gone just now.
        if matches!(error, Errno::NOENT | Errno::NOTDIR) || std::mem::replace(&mut self.has_complained, true) {
            return;
        }
        let mend = match error {
            Errno::NOSPC => "raise the limit (sysctl fs.inotify.max_user_watches)",
            Errno::MFILE => "raise the limit (sysctl fs.inotify.max_user_instances)",
            Errno::ACCESS => "the user that starts httpd must be able to read it",
            _ => "there may be a limit in the container",
        };
        let text = format!(
            "renewed certificates in {} and perhaps in other directories are noticed only every {} seconds, because the kernel \
             does not watch them: {}; {mend}",
            directory.display(),
            self.interval.as_secs(),
            io::Error::from(error),
        );
        self.messages.push((Severity::Notice, text));
    }

    /// Reads what the kernel tells.
    pub(super) fn take_events(&mut self, now: Instant) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut found = Vec::new();
        let mut is_all = false;
        if let Some(inotify) = &self.inotify {
            let mut reader = Reader::new(inotify, &mut buffer);
            while let Ok(event) = reader.next() {
                is_all |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                let own = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED | ReadFlags::UNMOUNT;
                match event.file_name() {
                    Some(name) => {
                        let name = hash_of(name.to_bytes());
                        found.push((event.wd(), Some(name)));
                    }
                    None if event.events().intersects(own) => found.push((event.wd(), None)),
                    None => {}
                }
            }
        }
        let mut slots: BTreeSet<u32> = BTreeSet::new();
        for (number, name) in found {
            match name {
                Some(name) => {
                    for name in [ANY, name] {
                        let range = self.by_entry.range((number, name, 0)..=(number, name, u32::MAX));
                        slots.extend(range.map(|(_, _, slot)| *slot));
                    }
                }
                None => slots.extend(self.in_directory(number)),
            }
        }
        if is_all {
            slots.extend(self.sites.keys());
        }
        for slot in slots {
            let (due, latest) = self.pending.entry(slot).or_insert((now, now + LATEST));
            *due = (now + QUIET).min(*latest);
        }
    }

    /// Does what is due. True if there is something new to report.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let before = self.changed.len() + self.messages.len();
        let due = self.pending.iter().filter(|(_, (due, _))| *due <= now);
        let due: Vec<u32> = due.map(|(slot, _)| *slot).collect();
        for slot in due {
            self.pending.remove(&slot);
            self.follow(slot);
            self.look_at(slot);
        }
        if self.next_round.is_some_and(|next| next <= now) {
            let polled = self.sites.iter().filter(|(_, site)| site.is_polled);
            let polled: Vec<u32> = polled.map(|(slot, _)| *slot).collect();
            self.next_round = (!polled.is_empty()).then(|| now + self.interval);
            polled.into_iter().for_each(|slot| self.look_at(slot));
        }
        self.changed.len() + self.messages.len() > before
    }

    /// Notes whether the files of a site have changed.
    fn look_at(&mut self, slot: u32) {
        let Some(site) = self.sites.get_mut(&slot) else { return };
        let stamp = Stamp::of(&site.paths).ok();
        if std::mem::replace(&mut site.stamp, stamp) != stamp && !self.changed.contains(&slot) {
            self.changed.push(slot);
        }
    }

    /// Looks at the files of a site now. They are read again if the last renewal was refused. True if there is something new to
    /// report.
    pub(super) fn look_now(&mut self, slot: u32) -> bool {
        let before = self.changed.len();
        self.pending.remove(&slot);
        self.follow(slot);
        self.look_at(slot);
        let is_refused = self.sites.get(&slot).is_some_and(|site| site.settled.refused.is_some());
        if is_refused && !self.changed.contains(&slot) {
            self.changed.push(slot);
        }
        self.changed.len() > before
    }

    /// Notes what became of the files of a site.
    pub(super) fn settle(&mut self, slot: u32, settled: Settled) {
        if let Some(site) = self.sites.get_mut(&slot) {
            site.settled = settled;
        }
    }

    /// What became of the files of a site as they are now.
    pub(super) fn state(&self, slot: u32) -> FileState {
        let Some(site) = self.sites.get(&slot) else {
            return FileState::Unknown;
        };
        let stamp = Stamp::of(&site.paths).ok().map(Stamp::to_bits);
        match &site.settled.refused {
            _ if stamp != site.settled.stamp || self.changed.contains(&slot) => FileState::Pending,
            Some(why) => FileState::Refused(site.settled.since, why.clone()),
            None => FileState::Used(site.settled.since),
        }
    }

    /// Whether something has happened since the last report.
    pub(super) fn has_news(&self) -> bool {
        !self.changed.is_empty() || !self.messages.is_empty()
    }

    /// What has happened since the last call.
    pub(super) fn report(&mut self) -> (Vec<u32>, Vec<(Severity, String)>) {
        (std::mem::take(&mut self.changed), std::mem::take(&mut self.messages))
    }
}

fn paths_of(watched: &WatchedFiles) -> Vec<PathBuf> {
    let paths = watched.paths.iter();
    paths.map(|path| OsStr::from_bytes(path).into()).collect()
}

#[cfg(test)]
mod tests;
