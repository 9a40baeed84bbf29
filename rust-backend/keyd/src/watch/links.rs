// SPDX-License-Identifier: Apache-2.0
//! Which entries of which directories decide what a path names: those of the file itself and of each symbolic link on the way.
//! Whoever replaces the file or a link changes one of them.

use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as Linux follows.
const MAX_LINKS: usize = 40;

/// An entry of a directory, whose path has no symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) directory: PathBuf,
    pub(super) name: OsString,
}

/// The entries for `path`, which is absolute. If something on the way does not exist, the last one is where it is missing.
pub(super) fn entries(path: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut at = PathBuf::from("/");
    // What is left of the way, the next component last.
    let mut rest: Vec<OsString> = Vec::new();
    push(&mut rest, path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let entry = Entry {
            directory: at.clone(),
            name: name.clone(),
        };
        at.push(&name);
        let target = fs::read_link(&at);
        if let Ok(target) = target {
            entries.push(entry);
            links += 1;
            if links > MAX_LINKS {
                return entries;
            }
            at.pop();
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            push(&mut rest, &target);
        } else if rest.is_empty() || fs::symlink_metadata(&at).is_err() {
            entries.push(entry);
            return entries;
        }
    }
    entries
}

/// Appends the components of `path` in reverse order.
fn push(rest: &mut Vec<OsString>, path: &Path) {
    rest.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(directory: &Path, path: &str) -> Vec<String> {
        let root = fs::canonicalize(directory).unwrap();
        let entries = entries(&root.join(path)).into_iter();
        let shown = entries.map(|entry| {
            entry
                .directory
                .join(entry.name)
                .strip_prefix(&root)
                .unwrap()
                .display()
                .to_string()
        });
        shown.collect()
    }

    #[test]
    fn links_of_certbot_and_kubernetes() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::create_dir_all(at("archive/www")).unwrap();
        fs::create_dir_all(at("live/www")).unwrap();
        fs::write(at("archive/www/cert1.pem"), "").unwrap();
        symlink("../../archive/www/cert1.pem", at("live/www/cert.pem")).unwrap();
        assert_eq!(
            names(directory.path(), "live/www/cert.pem"),
            ["live/www/cert.pem", "archive/www/cert1.pem"]
        );

        fs::create_dir_all(at("..2026")).unwrap();
        fs::write(at("..2026/tls.crt"), "").unwrap();
        symlink("..2026", at("..data")).unwrap();
        symlink("..data/tls.crt", at("tls.crt")).unwrap();
        assert_eq!(
            names(directory.path(), "tls.crt"),
            ["tls.crt", "..data", "..2026/tls.crt"]
        );
    }

    #[test]
    fn what_is_missing_comes_last() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(names(directory.path(), "a/b"), ["a"]);
        symlink("nowhere", directory.path().join("link")).unwrap();
        assert_eq!(names(directory.path(), "link"), ["link", "nowhere"]);
        symlink("loop", directory.path().join("loop")).unwrap();
        assert_eq!(names(directory.path(), "loop").len(), MAX_LINKS + 1);
    }
}
