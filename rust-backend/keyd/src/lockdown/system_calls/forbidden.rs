// SPDX-License-Identifier: Apache-2.0
//! What no PKCS#11 module has reason to do: other programs, other processes, the kernel, namespaces.

use libc::c_long;
use seccompiler::BackendError;

use super::Rules;
use super::conditions::{bits, is_not, one_of};

/// Memory and descriptors of other processes.
const PROCESSES: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
];

const PROGRAMS: &[c_long] = &[libc::SYS_execve, libc::SYS_execveat];

/// Calls that only x86_64 has: older ones for processes, and direct access to hardware.
#[cfg(target_arch = "x86_64")]
const ONLY_HERE: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const ONLY_HERE: &[c_long] = &[];

/// Namespaces and mounts.
const NAMESPACES: &[c_long] = &[
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
];

/// The kernel, and the parts of it that have had the most holes. io_uring makes calls that no filter sees.
const KERNEL: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
];

/// The bit that marks a number of x32, and the numbers there that x86_64 does not have. No program here has any of them.
#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const X32_NUMBERS: std::ops::RangeInclusive<c_long> = 512..=547;

/// The list of what is forbidden.
pub(super) fn rules() -> Result<Rules, BackendError> {
    let always = [PROCESSES, PROGRAMS, ONLY_HERE, NAMESPACES, KERNEL].concat();
    let mut rules: Rules = always.into_iter().map(|call| (call, vec![])).collect();
    let this_process = std::process::id();
    rules.extend([
        (libc::SYS_clone, bits(0, libc::CLONE_THREAD as u64, 0)?),
        (libc::SYS_kill, is_not(0, this_process)?),
        (libc::SYS_tgkill, is_not(0, this_process)?),
        (libc::SYS_rt_sigqueueinfo, is_not(0, this_process)?),
        (libc::SYS_rt_tgsigqueueinfo, is_not(0, this_process)?),
        (
            libc::SYS_ioctl,
            one_of(1, &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32])?,
        ),
    ]);
    #[cfg(target_arch = "x86_64")]
    add_x32(&mut rules);
    Ok(rules)
}

#[cfg(target_arch = "x86_64")]
fn add_x32(rules: &mut Rules) {
    let same: Rules = rules
        .iter()
        .map(|(call, conditions)| (call | X32, conditions.clone()))
        .collect();
    rules.extend(same);
    rules.extend(X32_NUMBERS.map(|call| (call | X32, vec![])));
}
