// SPDX-License-Identifier: Apache-2.0
//! Starts `tls-keyd`.

use std::ffi::{CStr, OsStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mod_tls_core::key_process::parent::{Launch, Launcher, Role};

/// Starts programs without the descriptors of httpd.
#[derive(Debug)]
pub(crate) struct ForkAndExec;

/// The name of the program.
const PROGRAM: &str = "tls-keyd";

/// The `tls-keyd` that belongs to this module: it lies beside it. None if the place of the module is not known.
pub(crate) fn key_program() -> Option<PathBuf> {
    let address = key_program as fn() -> Option<PathBuf> as *const c_void;
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is that of a function of this module, and there is room for the result.
    if unsafe { libc::dladdr(address, info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: zeroes are valid, and dladdr has filled in what it knows.
    let info = unsafe { info.assume_init() };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gives a valid C string, which lives as long as the module is loaded.
    let module = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(info.dli_fname) }.to_bytes()));
    Some(module.parent()?.join(PROGRAM))
}

impl Launcher for ForkAndExec {
    fn launch(&self, launch: &Launch, role: Role, socket: OwnedFd) -> io::Result<u32> {
        let mut command = Command::new(&launch.program);
        // Standard error may be the terminal, for whose end somebody waits.
        command.stdin(socket).stdout(Stdio::null()).stderr(Stdio::null());
        match role {
            Role::Keys if launch.tokens => {
                command.arg("--tokens");
            }
            Role::Keys => {}
            Role::Watch => {
                command.arg("--watch");
            }
            Role::Open => {
                command.arg("--open");
            }
            Role::Fetch => {
                command.arg("--fetch");
            }
            Role::Revocation => {
                command.arg("--revocation").args(&launch.cache);
            }
            Role::Bell => {
                command.arg("--bell");
            }
        }
        if let Some(user) = launch
            .user
            .as_ref()
            .filter(|_| matches!(role, Role::Keys | Role::Revocation))
        {
            command.arg("--user").arg(user);
        }
        // SAFETY: between fork and exec, the closure only calls functions that are async-signal-safe (close_range is a system
        // call, signal is on POSIX's list), and allocates nothing.
        unsafe { command.pre_exec(become_private) };
        Ok(command.spawn()?.id())
    }
}

/// In the new process, before the program is loaded: other modules may have left descriptors open for their own programs, and
/// signals of a terminal must not end the process before httpd.
fn become_private() -> io::Result<()> {
    // SAFETY: it sets a flag of descriptors and touches no memory. Kernels before 5.11 return an error.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGWINCH] {
        // SAFETY: these signals can be ignored, and no handler of ours is replaced.
        if unsafe { libc::signal(signal, libc::SIG_IGN) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
