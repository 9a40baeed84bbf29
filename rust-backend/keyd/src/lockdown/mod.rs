// SPDX-License-Identifier: Apache-2.0
//! What `tls-keyd` gives up before it gets its first key: whatever a process that only signs does not need.
//!
//! Each step stands on its own, so that a kernel or a container that lacks one still has the others. Threads inherit all
//! of it; therefore it has to be done before there is a second one.

mod file_access;
mod limits;
mod memory;
mod privileges;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    path = "no_system_calls.rs"
)]
mod system_calls;

use std::path::PathBuf;

/// What this process needs to keep.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// Whether PKCS#11 modules will be loaded. They open files and devices, and some of them connections.
    pub(crate) tokens: bool,
    /// Whether changes of files are to be noticed, which need not be opened for that.
    pub(crate) files: bool,
    /// Whether files are opened for reading.
    pub(crate) opens: bool,
    /// Whether connections to other machines are made.
    pub(crate) connects: bool,
    /// The directory in which files are written.
    pub(crate) directory: Option<PathBuf>,
    /// The user to run as; `None` for the one that this process has.
    pub(crate) user: Option<User>,
}

impl Needs {
    /// Those of the process that opens files of stores.
    pub(crate) fn of_opening() -> Self {
        Self {
            opens: true,
            ..Self::default()
        }
    }

    /// Those of the process that asks other machines.
    pub(crate) fn of_fetching() -> Self {
        Self {
            connects: true,
            ..Self::default()
        }
    }

    /// Those of the process that asks OCSP responders and keeps what it has fetched in `directory`.
    pub(crate) fn of_revocation(directory: &str, user: Option<User>) -> Self {
        Self {
            connects: true,
            directory: Some(directory.into()),
            user,
            ..Self::default()
        }
    }

    /// Those of the process that watches.
    pub(crate) fn of_watch() -> Self {
        Self {
            files: true,
            ..Self::default()
        }
    }
}

/// A user to run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups. Files of tokens may belong to one; without tokens there are none.
    pub(crate) groups: Vec<u32>,
}

/// One thing to give up.
#[derive(Debug)]
pub(crate) struct Step {
    /// What is protected, in a few words.
    pub(crate) what: &'static str,
    /// If it is not, or not completely: what is missing, what that means, and what an administrator can do.
    pub(crate) missing: Option<String>,
}

impl Step {
    fn new(what: &'static str, result: Result<(), String>) -> Self {
        let missing = result.err();
        Self { what, missing }
    }
}

/// Gives up everything that `needs` does not name, and returns one text for each thing that could not be given up.
///
/// It has to be called before there is a second thread. Without one of its protections the process is still safer than the
/// server would be with keys in all of its processes. But it fails if the process cannot run as the user that is
/// configured.
pub(crate) fn apply(needs: &Needs) -> Result<Vec<String>, String> {
    let (users, others): (Vec<_>, Vec<_>) = steps(needs).into_iter().partition(|step| step.what == USER);
    match users.into_iter().find_map(|step| step.missing) {
        Some(why) => Err(why),
        None => Ok(others.into_iter().filter_map(|step| step.missing).collect()),
    }
}

/// The step that must not fail.
const USER: &str = "user and groups";

/// [`apply`], with the steps that succeeded.
///
/// The order matters. Limits and locked memory need capabilities, which change with the user. The bounding set and the
/// secure bits need `CAP_SETPCAP`, so they come before the change of the user, and the capabilities that change it go
/// after that. The filter of system calls forbids all the other steps, so it is the last one.
pub(crate) fn steps(needs: &Needs) -> Vec<Step> {
    vec![
        Step::new("no core dumps, no debuggers", memory::forbid_dumps()),
        Step::new("as many descriptors as allowed", limits::raise_descriptors()),
        Step::new("memory kept out of swap", memory::lock()),
        Step::new("no way back to capabilities", privileges::close_sources()),
        Step::new(USER, privileges::change_user(needs.user.as_ref())),
        Step::new(
            "no capabilities",
            privileges::clear_capabilities(needs.files || needs.opens),
        ),
        Step::new("no privileges by exec", privileges::forbid_new()),
        Step::new("Landlock: files, network, signals", file_access::restrict(needs)),
        Step::new(
            "seccomp: system calls",
            system_calls::restrict(needs.tokens || needs.opens || needs.connects, needs.files),
        ),
    ]
}
