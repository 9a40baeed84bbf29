// SPDX-License-Identifier: Apache-2.0
//! Files, and directories of files, whose content is read again when they change.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use super::file_reading::{FileError, FileStamp};
use super::lock::lock;
use super::place::Place;
use super::slots;
use super::stamp::Stamp;

/// How often a process looks at files itself, in seconds.
pub const LOOK_EVERY: u32 = 1;

/// How long files must not have changed before a process that looks at them itself reads them: they may be written just now.
const QUIET: Duration = Duration::from_millis(200);

/// Paths that are looked at together.
#[derive(Debug)]
pub struct Watched {
    slot: u32,
    places: Vec<Place>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// The stamp of what was last read; none if it could not be looked at.
    stamp: Option<Stamp>,
    /// Whether it could not be used.
    is_refused: bool,
    /// When this process has looked, in seconds.
    looked: u32,
}

/// What is there now.
struct Seen {
    /// The paths, and those of the files in directories.
    paths: Vec<PathBuf>,
    stamp: Stamp,
    /// When the last change was, in nanoseconds since 1970.
    changed: i64,
}

impl Watched {
    /// Begins with what is there now, which is to be read afterwards.
    pub fn new(places: Vec<Place>) -> Self {
        let watched = Self {
            slot: slots::next(),
            places,
            last: Mutex::default(),
        };
        watched.is_changed();
        watched
    }

    /// Its [number](slots).
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The files and directories.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The stamp of what was last read.
    pub fn stamp(&self) -> Option<Stamp> {
        lock(&self.last).stamp
    }

    /// The paths, and those of the files in directories.
    pub fn all_paths(&self) -> Vec<PathBuf> {
        let named = || self.places.iter().map(|place| place.path.clone()).collect();
        self.look().map_or_else(|_| named(), |seen| seen.paths)
    }

    /// Whether it is to be read: something has changed since the last call, or what was read then could not be used.
    pub fn is_changed(&self) -> bool {
        let stamp = self.look().ok().map(|seen| seen.stamp);
        let mut last = lock(&self.last);
        let is_refused = std::mem::take(&mut last.is_refused);
        std::mem::replace(&mut last.stamp, stamp) != stamp || is_refused
    }

    /// Notes that what was read could not be used.
    pub fn refuse(&self) {
        lock(&self.last).is_refused = true;
    }

    /// The same for a process that looks from time to time; `now` is the time in seconds. What it must not look at has not
    /// changed.
    pub fn is_found_changed(&self, now: u32) -> bool {
        let mut last = lock(&self.last);
        if now.wrapping_sub(last.looked) < LOOK_EVERY {
            return false;
        }
        let before = std::mem::replace(&mut last.looked, now);
        drop(last);
        // Not under the lock: a file system that does not answer must keep only this handshake waiting.
        let Ok(seen) = self.look() else { return false };
        let mut last = lock(&self.last);
        if last.stamp == Some(seen.stamp) {
            return false;
        }
        if seen.is_recent() {
            // The next handshake looks again.
            last.looked = before;
            return false;
        }
        last.stamp = Some(seen.stamp);
        true
    }

    fn look(&self) -> Result<Seen, FileError> {
        let mut paths = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let files = place.files()?;
            if files.first() != Some(&place.path) {
                paths.push(place.path.clone());
            }
            paths.extend(files);
        }
        let stamps: Result<Vec<_>, _> = paths.iter().map(|path| FileStamp::of(path)).collect();
        let stamps = stamps?;
        Ok(Seen {
            changed: stamps.iter().map(FileStamp::changed).max().unwrap_or_default(),
            stamp: Stamp::of_files(stamps),
            paths,
        })
    }
}

impl Seen {
    fn is_recent(&self) -> bool {
        let since = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.changed.max(0).cast_unsigned());
        // A clock that goes back must not put it off for long.
        SystemTime::now().duration_since(since).is_ok_and(|age| age < QUIET)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_and_directories() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("all")).unwrap();
        fs::write(path("all/a"), "1").unwrap();
        fs::write(path("one"), "1").unwrap();
        let watched = Watched::new(vec![path("one").into(), path("all").into()]);
        assert_eq!(watched.all_paths(), [path("one"), path("all"), path("all/a")]);
        assert!(!watched.is_changed());
        for name in ["one", "all/a", "all/b"] {
            fs::write(path(name), "22").unwrap();
            assert!(watched.is_changed(), "{name}");
            assert!(!watched.is_changed());
        }
        fs::remove_file(path("all/a")).unwrap();
        assert!(watched.is_changed());
        fs::remove_file(path("one")).unwrap();
        assert!(watched.is_changed() && !watched.is_changed());
        fs::write(path("one"), "22").unwrap();
        assert!(watched.is_changed());
        watched.refuse();
        assert!(watched.is_changed() && !watched.is_changed());
    }

    #[test]
    fn looking_from_time_to_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("one");
        fs::write(&file, "1").unwrap();
        let watched = Watched::new(vec![file.clone().into()]);
        assert!(!watched.is_found_changed(100));
        fs::write(&file, "22").unwrap();
        assert!(!watched.is_found_changed(100), "it has looked in this second");
        let begin = std::time::Instant::now();
        while !watched.is_found_changed(101) {
            assert!(begin.elapsed() < Duration::from_secs(5));
        }
        assert!(begin.elapsed() > QUIET / 2, "it was written just now");
        assert!(!watched.is_found_changed(102));
        fs::remove_file(&file).unwrap();
        assert!(!watched.is_found_changed(103));
    }
}
