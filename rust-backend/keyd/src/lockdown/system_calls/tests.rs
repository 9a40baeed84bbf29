// SPDX-License-Identifier: Apache-2.0
//! The filters as the kernel would run them, and a thread that has them.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use libc::{ENOSYS, EPERM, c_int, c_long};
use seccompiler::BpfProgramRef;

use super::{programs, restrict};

/// What the filters answer; `Ok` if the call is made.
fn answer(tokens: bool, call: c_long, arguments: [u64; 6]) -> Result<(), c_int> {
    let errors = programs(tokens, false)
        .unwrap()
        .map(|program| run(&program, call, arguments).err());
    // Of several errors the kernel takes that of the filter which was set last.
    errors.into_iter().flatten().next_back().map_or(Ok(()), Err)
}

/// Runs a filter on a call; seccomp(2). Classic BPF has few instructions, and the compiler uses even fewer.
fn run(program: BpfProgramRef, call: c_long, arguments: [u64; 6]) -> Result<(), c_int> {
    let audit_arch = if cfg!(target_arch = "x86_64") {
        0xc000_003e
    } else {
        0xc000_00b7
    };
    let mut data = vec![u32::try_from(call).unwrap(), audit_arch, 0, 0];
    data.extend(
        arguments
            .iter()
            .flat_map(|argument| [*argument as u32, (argument >> 32) as u32]),
    );
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let instruction = &program[at];
        let jump = |condition| usize::from(if condition { instruction.jt } else { instruction.jf });
        at += 1;
        match instruction.code {
            0x20 => accumulator = data[instruction.k as usize / 4],
            0x54 => accumulator &= instruction.k,
            0x05 => at += instruction.k as usize,
            0x15 => at += jump(accumulator == instruction.k),
            0x25 => at += jump(accumulator > instruction.k),
            0x35 => at += jump(accumulator >= instruction.k),
            0x06 => return outcome(instruction.k),
            other => panic!("{other:#x} is no instruction that is known here"),
        }
    }
}

/// What SECCOMP_RET_ALLOW and SECCOMP_RET_ERRNO mean.
fn outcome(value: u32) -> Result<(), c_int> {
    match (value & 0xffff_0000, value & 0xffff) {
        (0x7fff_0000, _) => Ok(()),
        (0x0005_0000, error) => Err(error as c_int),
        _ => panic!("{value:#x} is no answer that is known here"),
    }
}

fn with(index: usize, value: u64) -> [u64; 6] {
    let mut arguments = [0; 6];
    arguments[index] = value;
    arguments
}

#[test]
fn calls_without_conditions() {
    for (call, without_tokens, with_tokens) in [
        (libc::SYS_read, Ok(()), Ok(())),
        (libc::SYS_futex, Ok(()), Ok(())),
        (libc::SYS_openat, Err(EPERM), Ok(())),
        (libc::SYS_socket, Err(EPERM), Ok(())),
        (libc::SYS_memfd_create, Err(EPERM), Ok(())),
        (libc::SYS_execve, Err(EPERM), Err(EPERM)),
        (libc::SYS_execveat, Err(EPERM), Err(EPERM)),
        (libc::SYS_ptrace, Err(EPERM), Err(EPERM)),
        (libc::SYS_io_uring_setup, Err(EPERM), Err(EPERM)),
        (libc::SYS_unshare, Err(EPERM), Err(EPERM)),
        (libc::SYS_seccomp, Err(EPERM), Ok(())),
    ] {
        assert_eq!(answer(false, call, [0; 6]), without_tokens, "{call}");
        assert_eq!(answer(true, call, [0; 6]), with_tokens, "{call}, tokens");
    }
}

#[test]
fn threads_but_no_processes() {
    // What glibc starts threads with, and processes.
    let thread = 0x3d_0f00;
    let vfork = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64;
    let fork = (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD) as u64;
    for tokens in [false, true] {
        assert_eq!(answer(tokens, libc::SYS_clone, with(0, thread)), Ok(()));
        assert_eq!(answer(tokens, libc::SYS_clone, with(0, vfork)), Err(EPERM));
        assert_eq!(answer(tokens, libc::SYS_clone, with(0, fork)), Err(EPERM));
        assert_eq!(answer(tokens, libc::SYS_clone3, [0; 6]), Err(ENOSYS));
    }
    let in_a_new_namespace = thread | libc::CLONE_NEWNET as u64;
    assert_eq!(answer(false, libc::SYS_clone, with(0, in_a_new_namespace)), Err(EPERM));
}

#[test]
fn memory_is_not_executable() {
    let writable = (libc::PROT_READ | libc::PROT_WRITE) as u64;
    let executable = (libc::PROT_READ | libc::PROT_EXEC) as u64;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        assert_eq!(answer(false, call, with(2, writable)), Ok(()));
        assert_eq!(answer(false, call, with(2, executable)), Err(EPERM));
        // Modules of tokens are loaded.
        assert_eq!(answer(true, call, with(2, executable)), Ok(()));
    }
}

#[test]
fn arguments_are_looked_at() {
    let own = u64::from(std::process::id());
    let at_empty_path = libc::AT_EMPTY_PATH as u64;
    for (call, allowed, refused) in [
        (libc::SYS_tgkill, with(0, own), with(0, own + 1)),
        (
            libc::SYS_ioctl,
            with(1, libc::TCSETS as u32 as u64),
            with(1, libc::TIOCSTI as u32 as u64),
        ),
        (
            libc::SYS_fcntl,
            with(1, libc::F_SETFL as u64),
            with(1, libc::F_SETOWN as u64),
        ),
        (libc::SYS_prlimit64, with(3, 1), with(2, 1 << 40)),
        (
            libc::SYS_prctl,
            with(0, libc::PR_SET_NAME as u64),
            with(0, libc::PR_SET_DUMPABLE as u64),
        ),
        (libc::SYS_newfstatat, with(3, at_empty_path), [0; 6]),
        (libc::SYS_statx, with(2, at_empty_path), [0; 6]),
        (
            libc::SYS_setsockopt,
            with(1, libc::SOL_SOCKET as u64),
            with(1, libc::SOL_IP as u64 + 6),
        ),
    ] {
        assert_eq!(answer(false, call, allowed), Ok(()), "{call}");
        assert_eq!(answer(false, call, refused), Err(EPERM), "{call}");
    }
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo] {
        assert_eq!(answer(true, call, with(0, own)), Ok(()), "{call}, tokens");
        assert_eq!(answer(true, call, with(0, 1)), Err(EPERM), "{call}, tokens");
    }
    assert_eq!(
        answer(true, libc::SYS_ioctl, with(1, libc::TIOCSTI as u32 as u64)),
        Err(EPERM)
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_numbers_of_x32_are_no_way_around() {
    let x32 = 0x4000_0000;
    // execve and ptrace of x32, and unshare, which has the same number.
    for call in [520, 521, libc::SYS_unshare] {
        assert_eq!(answer(true, call | x32, [0; 6]), Err(EPERM), "{call}");
    }
    assert_eq!(answer(true, libc::SYS_clone | x32, [0; 6]), Err(EPERM));
    assert_eq!(answer(false, libc::SYS_read | x32, [0; 6]), Err(EPERM));
}

/// A filter counts for the thread that sets it, and for those that it starts.
fn in_a_thread(tokens: bool, test: impl FnOnce() + Send + 'static) {
    let filtered = move || {
        restrict(tokens, false).unwrap();
        test();
    };
    thread::spawn(filtered).join().unwrap();
}

fn is_refused<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn only_what_is_listed_is_allowed() {
    let (mut here, mut there) = UnixStream::pair().unwrap();
    in_a_thread(false, move || {
        assert!(is_refused(File::open("/dev/null")));
        assert!(is_refused(UdpSocket::bind("127.0.0.1:0")));
        assert!(is_refused(UnixStream::pair()));
        assert!(is_refused(Command::new("/bin/true").status()));
        here.set_nonblocking(true).unwrap();
        here.write_all(b"signed").unwrap();
        assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
    });
    let mut answer = String::new();
    there.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "signed");
}

#[test]
fn tokens_get_files_and_sockets_but_no_programs() {
    in_a_thread(true, || {
        assert!(File::open("/dev/null").is_ok());
        assert!(UdpSocket::bind("127.0.0.1:0").is_ok());
        assert!(is_refused(Command::new("/bin/true").status()));
        let other = rustix::process::getppid().unwrap();
        assert!(is_refused(
            rustix::process::test_kill_process(other).map_err(io::Error::from)
        ));
        assert!(rustix::process::test_kill_process(rustix::process::getpid()).is_ok());
        assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
    });
}
