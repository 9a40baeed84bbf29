// SPDX-License-Identifier: Apache-2.0
//! What a process may do that answers requests on descriptors, has threads, and computes. glibc and musl, x86_64 and
//! aarch64.

use libc::c_long;
use seccompiler::BackendError;

use super::Rules;
use super::conditions::{bits, null, one_of};

/// Messages and files on descriptors that are open. None of these opens anything.
const DESCRIPTORS: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_eventfd2,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
];

/// Waiting for them.
const EVENTS: &[c_long] = &[
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pidfd_open,
];

/// The older forms of the same, which only x86_64 has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

const MEMORY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_munlock,
];

const THREADS: &[c_long] = &[
    // The filter before this one answers ENOSYS; here it must not be EPERM.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

const SIGNALS: &[c_long] = &[
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
];

/// What tells something, and changes nothing. Libraries take it for granted that the identifiers can be had.
const FACTS: &[c_long] = &[
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// Terminals, for pass phrases, and what the standard library asks of sockets. Not TIOCSTI, which types for the user.
const IOCTLS: &[u32] = &[
    libc::TCGETS as u32,
    libc::TCSETS as u32,
    libc::TCSETSW as u32,
    libc::TCSETSF as u32,
    libc::TCGETS2 as u32,
    libc::TCSETS2 as u32,
    libc::TCSETSW2 as u32,
    libc::TCSETSF2 as u32,
    libc::FIONBIO as u32,
    libc::FIONREAD as u32,
];

const FCNTLS: &[u32] = &[
    libc::F_GETFD as u32,
    libc::F_SETFD as u32,
    libc::F_GETFL as u32,
    libc::F_SETFL as u32,
    libc::F_DUPFD_CLOEXEC as u32,
];

/// The names of threads, and what `--check` shows.
const PRCTLS: &[u32] = &[
    libc::PR_SET_NAME as u32,
    libc::PR_GET_DUMPABLE as u32,
    libc::PR_GET_SECUREBITS as u32,
];

/// Looking at files and directories, which opens none of them.
const LOOKS: &[c_long] = &[
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_statfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];

/// Connections to a socket that others have made, for `tls-certs`.
const CLIENTS: &[c_long] = &[libc::SYS_accept4];

/// Flags of clone: a thread of this process, in the same namespaces.
const THREAD: u64 = libc::CLONE_THREAD as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// The list of what is allowed. With `files`, that includes looking at files, and accepting connections.
pub(super) fn rules(files: bool) -> Result<Rules, BackendError> {
    let always = [DESCRIPTORS, EVENTS, OLDER, MEMORY, THREADS, SIGNALS, FACTS].concat();
    let mut rules: Rules = always.into_iter().map(|call| (call, vec![])).collect();
    let executable = libc::PROT_EXEC as u64;
    rules.extend([
        (libc::SYS_mmap, bits(2, executable, 0)?),
        (libc::SYS_mprotect, bits(2, executable, 0)?),
        (libc::SYS_clone, bits(0, THREAD | NAMESPACES, THREAD)?),
        (libc::SYS_ioctl, one_of(1, IOCTLS)?),
        (libc::SYS_fcntl, one_of(1, FCNTLS)?),
        (libc::SYS_prctl, one_of(0, PRCTLS)?),
        (libc::SYS_setsockopt, one_of(1, &[libc::SOL_SOCKET as u32])?),
        // Reading a limit, not setting one.
        (libc::SYS_prlimit64, null(2)?),
        // How C libraries do fstat.
        (
            libc::SYS_newfstatat,
            bits(3, libc::AT_EMPTY_PATH as u64, libc::AT_EMPTY_PATH as u64)?,
        ),
        (
            libc::SYS_statx,
            bits(2, libc::AT_EMPTY_PATH as u64, libc::AT_EMPTY_PATH as u64)?,
        ),
        // abort(), which sends a signal to its own process.
        (libc::SYS_tgkill, one_of(0, &[std::process::id()])?),
    ]);
    if files {
        rules.extend(LOOKS.iter().chain(CLIENTS).map(|call| (*call, vec![])));
    }
    Ok(rules)
}
