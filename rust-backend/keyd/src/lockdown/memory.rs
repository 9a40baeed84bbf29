// SPDX-License-Identifier: Apache-2.0
//! Memory that has private keys: not in core dumps, not in the hands of debuggers, not in swap space.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use super::limits::number;

/// The address space that one thread may reserve: its stack, and the two arenas of 64 MiB from which glibc's malloc takes
/// an aligned one.
const PER_THREAD: u64 = 160 << 20;

/// Threads beyond one for each core.
const OTHER_THREADS: u64 = 4;

/// Forbids core dumps, and access by processes of the same user (ptrace, `/proc/PID/mem`).
pub(super) fn forbid_dumps() -> Result<(), String> {
    set_not_dumpable()?;
    // A core dump that goes to a program ignores this limit, one that goes to a file does not.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).map_err(|error| format!("the limit of core dumps could not be set to 0 ({error})"))
}

/// Marks the process as not dumpable. The kernel forgets this when the user changes.
pub(super) fn set_not_dumpable() -> Result<(), String> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| {
        format!(
            "the process could not be marked as not dumpable ({error}): a core dump of tls-keyd would have private keys, \
             and processes of its user can read its memory; turn core dumps off (sysctl kernel.core_pattern), and set \
             sysctl kernel.yama.ptrace_scope=2"
        )
    })
}

/// Keeps all memory, present and future, out of swap space. Pages count when they are used, not when they are reserved.
pub(super) fn lock() -> Result<(), String> {
    let limit = raise_lock_limit();
    // Beyond the limit, memory could no longer be had at all. A reservation counts in full.
    let enough = PER_THREAD * (cores() + OTHER_THREADS);
    if limit.is_some_and(|limit| limit < enough) {
        return Err(not_locked(&format!(
            "the limit of locked memory is {} bytes",
            number(limit)
        )));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|error| not_locked(&format!("mlockall: {error}")))
}

/// Raises the limit of locked memory as far as allowed, and returns it in bytes; `None` is unlimited.
fn raise_lock_limit() -> Option<u64> {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        let maximum = getrlimit(Resource::Memlock).maximum;
        // A soft limit can always be raised to the hard one; if not, what it is counts.
        let _ = setrlimit(
            Resource::Memlock,
            Rlimit {
                current: maximum,
                maximum,
            },
        );
    }
    getrlimit(Resource::Memlock).current
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

fn not_locked(why: &str) -> String {
    format!(
        "memory is not locked ({why}): private keys can get into swap space, if there is any; set LimitMEMLOCK=infinity in \
         the systemd unit of httpd or --ulimit memlock=-1 for a container, or have no swap space or an encrypted one"
    )
}
