// SPDX-License-Identifier: Apache-2.0
//! The user, the groups and the capabilities (capabilities(7)).

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitiesSecureBits, set_capabilities_secure_bits, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::{User, memory};

/// Closes the ways to capabilities: the bounding and the ambient set, and what the kernel grants to user 0.
pub(super) fn close_sources() -> Result<(), String> {
    // Without any capability, no_new_privs already makes sure that none can be had: httpd was not started by root.
    if caps::read(None, CapSet::Permitted).is_ok_and(|set| set.is_empty()) {
        return Ok(());
    }
    clear(&[CapSet::Ambient, CapSet::Bounding])
        .map_err(|error| error.to_string())
        .and_then(|()| lock_secure_bits().map_err(|error| format!("secure bits: {error}")))
        .map_err(|error| {
            format!(
                "the sources of capabilities could not be closed ({error}): only no_new_privs keeps tls-keyd from \
                 capabilities; a container needs CAP_SETPCAP for it"
            )
        })
}

/// Clears sets of capabilities of this thread.
fn clear(sets: &[CapSet]) -> Result<(), CapsError> {
    sets.iter().try_for_each(|&set| match set {
        // Kernels before 4.3 have no ambient set.
        CapSet::Ambient if caps::runtime::ambient_set_supported().is_err() => Ok(()),
        _ => caps::clear(None, set),
    })
}

fn keep_only(kept: &CapsHashSet) -> Result<(), CapsError> {
    clear(&[CapSet::Ambient, CapSet::Inheritable])?;
    [CapSet::Effective, CapSet::Permitted].into_iter().try_for_each(|set| {
        let left = caps::read(None, set)?.intersection(kept).copied().collect();
        caps::set(None, set, &left)
    })
}

/// Takes from user 0 what the kernel does for it, for good.
fn lock_secure_bits() -> Result<(), Errno> {
    use CapabilitiesSecureBits as Bits;
    set_capabilities_secure_bits(
        Bits::NO_ROOT
            | Bits::NO_ROOT_LOCKED
            | Bits::NO_SETUID_FIXUP
            | Bits::NO_SETUID_FIXUP_LOCKED
            | Bits::KEEP_CAPS_LOCKED
            | Bits::NO_CAP_AMBIENT_RAISE
            | Bits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )
}

/// Changes the real, effective and saved user and group, and leaves all supplementary groups but those of `user`.
///
/// The calls change one thread; there is only one.
pub(super) fn change_user(user: Option<&User>) -> Result<(), String> {
    let Some(user) = user else { return Ok(()) };
    become_user(user).map_err(|error| {
        let (uid, gid) = (user.uid, user.gid);
        format!(
            "the user could not be changed to {uid}:{gid} ({error}): tls-keyd goes on as user {}; httpd has to be started \
             as root, and a container needs CAP_SETUID and CAP_SETGID",
            geteuid().as_raw(),
        )
    })?;
    memory::set_not_dumpable()
}

fn become_user(user: &User) -> Result<(), Errno> {
    // The highest number means "leave it as it is".
    if user.uid == u32::MAX || user.gid == u32::MAX || user.groups.contains(&u32::MAX) {
        return Err(Errno::INVAL);
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<_> = user.groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Clears the capabilities that this process has and hands on. With `needs_files`, it keeps that to look at files and
/// directories of all users and to read them, if it has it.
pub(super) fn clear_capabilities(needs_files: bool) -> Result<(), String> {
    let kept = CapsHashSet::from_iter(needs_files.then_some(Capability::CAP_DAC_READ_SEARCH));
    keep_only(&kept).map_err(|error| {
        let left = caps::read(None, CapSet::Permitted).unwrap_or_default();
        let left: Vec<String> = left.iter().map(Capability::to_string).collect();
        format!(
            "capabilities could not be given up ({error}): tls-keyd keeps {}; a filter of system calls that forbids \
             capset is a likely cause",
            left.join(", "),
        )
    })
}

/// Nothing that is executed gets privileges: set-user-ID programs and file capabilities count for nothing.
pub(super) fn forbid_new() -> Result<(), String> {
    set_no_new_privs(true).map_err(|error| {
        format!(
            "no_new_privs could not be set ({error}): Landlock and seccomp are not to be had without it; use Linux 3.5 or \
             newer, and a container whose filter of system calls allows prctl"
        )
    })
}
