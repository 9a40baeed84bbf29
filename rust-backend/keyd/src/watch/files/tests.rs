// SPDX-License-Identifier: Apache-2.0
//! Tests of what is watched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

const SLOT: u32 = 7;

/// A directory with a certificate and a key that are watched.
struct Watched {
    directory: TempDir,
    files: Files,
}

impl Watched {
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path());
        let mut files = Files::new();
        let watched = current(directory.path(), &["cert.pem", "key.pem"]);
        files.watch(Duration::from_secs(3600), vec![watched], Instant::now());
        assert_eq!(files.report().0, [0; 0]);
        Self { directory, files }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What has changed, once everything that has happened was looked at.
    fn changed(&mut self) -> Vec<u32> {
        let now = Instant::now();
        self.files.take_events(now);
        self.files.turn(now + LATEST);
        self.files.report().0
    }
}

/// These files as they are now.
fn current(directory: &Path, names: &[&str]) -> WatchedFiles {
    let paths: Vec<_> = names.iter().map(|name| directory.join(name)).collect();
    WatchedFiles {
        slot: SLOT,
        settled: settled(Stamp::of(&paths).unwrap().to_bits()),
        paths: paths
            .iter()
            .map(|path| path.as_os_str().as_bytes().to_vec().into())
            .collect(),
    }
}

fn settled(stamp: u64) -> Settled {
    Settled {
        stamp: Some(stamp),
        since: 1000,
        refused: None,
    }
}

fn two_files(directory: &Path) {
    fs::write(directory.join("cert.pem"), "1").unwrap();
    fs::write(directory.join("key.pem"), "1").unwrap();
}

#[test]
fn files_that_are_written_or_replaced() {
    let mut watched = Watched::new(two_files);
    assert!(watched.changed().is_empty());
    fs::write(watched.at("cert.pem"), "22").unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    assert!(watched.changed().is_empty());
    fs::write(watched.at("new"), "333").unwrap();
    assert!(watched.changed().is_empty());
    fs::rename(watched.at("new"), watched.at("key.pem")).unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    fs::remove_file(watched.at("key.pem")).unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    fs::write(watched.at("key.pem"), "4").unwrap();
    assert_eq!(watched.changed(), [SLOT]);
}

#[test]
fn links_that_are_turned() {
    let mut watched = Watched::new(|directory| {
        for version in ["v1", "v2"] {
            fs::create_dir(directory.join(version)).unwrap();
            two_files(&directory.join(version));
        }
        symlink("v1", directory.join("now")).unwrap();
        symlink("now/cert.pem", directory.join("cert.pem")).unwrap();
        symlink("now/key.pem", directory.join("key.pem")).unwrap();
    });
    fs::write(watched.at("v2/cert.pem"), "22").unwrap();
    assert!(watched.changed().is_empty());
    symlink("v2", watched.at("next")).unwrap();
    fs::rename(watched.at("next"), watched.at("now")).unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    // The new ones are watched now, and the old ones are not.
    fs::write(watched.at("v1/cert.pem"), "333").unwrap();
    assert!(watched.changed().is_empty());
    fs::write(watched.at("v2/cert.pem"), "4444").unwrap();
    assert_eq!(watched.changed(), [SLOT]);
}

#[test]
fn a_directory_that_is_replaced() {
    let mut watched = Watched::new(|directory| {
        fs::create_dir(directory.join("v1")).unwrap();
        two_files(&directory.join("v1"));
        symlink("v1/cert.pem", directory.join("cert.pem")).unwrap();
        symlink("v1/key.pem", directory.join("key.pem")).unwrap();
    });
    fs::rename(watched.at("v1"), watched.at("old")).unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    fs::create_dir(watched.at("v1")).unwrap();
    two_files(&watched.at("v1"));
    assert_eq!(watched.changed(), [SLOT]);
}

#[test]
fn entries_of_a_directory() {
    let mut watched = Watched::new(two_files);
    fs::create_dir(watched.at("all")).unwrap();
    fs::write(watched.at("all/a"), "1").unwrap();
    let now = |watched: &Watched, names: &[&str]| current(watched.directory.path(), names);
    let list = vec![now(&watched, &["all", "all/a"])];
    watched.files.watch(Duration::from_secs(3600), list, Instant::now());
    assert!(watched.changed().is_empty());
    fs::write(watched.at("all/a"), "22").unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    fs::write(watched.at("all/b"), "1").unwrap();
    assert_eq!(watched.changed(), [SLOT]);
    let again = now(&watched, &["all", "all/a", "all/b"]);
    watched.files.watch_again(again);
    assert!(!watched.files.has_news() && watched.changed().is_empty());
    let again = now(&watched, &["all", "all/a", "all/b"]);
    fs::write(watched.at("all/b"), "22").unwrap();
    watched.files.watch_again(again);
    assert!(!watched.files.has_news(), "the kernel will tell");
    assert_eq!(watched.changed(), [SLOT]);
    let again = now(&watched, &["all", "all/a"]);
    fs::write(watched.at("all/a"), "333").unwrap();
    watched.files.watch_again(again);
    assert!(watched.files.has_news() && watched.changed() == [SLOT]);
    fs::remove_file(watched.at("all/b")).unwrap();
    assert_eq!(watched.changed(), [SLOT]);
}

#[test]
fn sites_that_are_no_longer_watched() {
    let mut watched = Watched::new(two_files);
    watched.files.watch(Duration::from_secs(1), Vec::new(), Instant::now());
    fs::write(watched.at("cert.pem"), "22").unwrap();
    assert!(watched.changed().is_empty());
    assert!(watched.files.by_entry.is_empty() && watched.files.sites.is_empty());
}

#[test]
fn what_has_changed_before_it_was_watched() {
    let mut watched = Watched::new(two_files);
    let other = WatchedFiles {
        slot: 8,
        settled: settled(1),
        ..current(watched.directory.path(), &["cert.pem", "key.pem"])
    };
    watched.files.watch(Duration::from_secs(1), vec![other], Instant::now());
    assert_eq!(watched.files.report().0, [8]);
}

/// Without inotify, for want of descriptors.
#[test]
fn files_are_looked_at_where_the_kernel_does_not_watch() {
    let directory = tempfile::tempdir().unwrap();
    two_files(directory.path());
    let mut files = Files::new();
    files.inotify = None;
    let watched = WatchedFiles {
        settled: settled(0),
        ..current(directory.path(), &["cert.pem"])
    };
    let now = Instant::now();
    files.watch(Duration::from_secs(5), vec![watched], now);
    let (changed, messages) = files.report();
    assert_eq!(changed, [SLOT]);
    assert!(messages[0].1.contains("every 5 seconds"), "{messages:?}");
    fs::write(directory.path().join("cert.pem"), "22").unwrap();
    assert!(!files.turn(now + Duration::from_secs(4)));
    assert!(files.turn(now + Duration::from_secs(6)));
    assert_eq!(files.report().0, [SLOT]);
    assert!(files.next().is_some());
}

#[test]
fn what_became_of_files() {
    let mut watched = Watched::new(two_files);
    assert_eq!(watched.files.state(SLOT), FileState::Used(1000));
    assert_eq!(watched.files.state(8), FileState::Unknown);
    fs::write(watched.at("cert.pem"), "22").unwrap();
    assert_eq!(watched.files.state(SLOT), FileState::Pending);
    assert!(watched.files.look_now(SLOT));
    assert_eq!(watched.files.report().0, [SLOT]);
    let now = Stamp::of(&watched.files.sites[&SLOT].paths).unwrap().to_bits();
    let refused = Settled {
        stamp: Some(now),
        since: 2000,
        refused: Some("the reason".to_owned()),
    };
    watched.files.settle(SLOT, refused);
    assert_eq!(
        watched.files.state(SLOT),
        FileState::Refused(2000, "the reason".to_owned())
    );
    // It is read again, though it has not changed.
    assert!(watched.files.look_now(SLOT));
    assert_eq!(watched.files.state(SLOT), FileState::Pending);
    assert_eq!(watched.files.report().0, [SLOT]);
    watched.files.settle(SLOT, settled(now));
    assert!(!watched.files.look_now(SLOT));
    fs::remove_file(watched.at("cert.pem")).unwrap();
    assert_eq!(watched.files.state(SLOT), FileState::Pending);
}
