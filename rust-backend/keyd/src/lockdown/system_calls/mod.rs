// SPDX-License-Identifier: Apache-2.0
//! seccomp: which system calls this process can make.
//!
//! Without tokens there is a list of what is allowed, and everything else fails with EPERM. With tokens, the code of a
//! vendor runs here, so there is only a list of what is forbidden.

mod allowed;
mod conditions;
mod forbidden;

use std::collections::BTreeMap;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter};

/// System calls, each with the conditions of which one must be met; an empty list is no condition.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const REFUSE: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// Filters the system calls of this thread and of those that it starts. Nothing takes a filter away.
pub(super) fn restrict(tokens: bool) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .ok()
        .filter(|_| cfg!(any(target_arch = "x86_64", target_arch = "aarch64")))
        .ok_or_else(|| {
            format!(
                "there is no seccomp filter for {}, only for x86_64 and aarch64: tls-keyd can make every system call",
                std::env::consts::ARCH
            )
        })?;
    enforce(tokens, arch).map_err(|error| {
        format!(
            "the seccomp filter could not be set ({error}): tls-keyd can make every system call; use a kernel with \
             CONFIG_SECCOMP_FILTER, and a container that allows seccomp"
        )
    })
}

fn enforce(tokens: bool, arch: TargetArch) -> Result<(), seccompiler::Error> {
    // A filter cannot see the flags of clone3. With ENOSYS, C libraries turn to clone, whose flags it can see. The kernel
    // asks all filters, and the strictest answer counts; the list of what is allowed comes last, for it forbids the rest.
    let no_clone3 = Rules::from([(libc::SYS_clone3, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let first = compile(no_clone3, SeccompAction::Allow, missing, arch)?;
    let second = match tokens {
        false => compile(allowed::rules()?, REFUSE, SeccompAction::Allow, arch)?,
        true => compile(forbidden::rules()?, SeccompAction::Allow, REFUSE, arch)?,
    };
    apply_filter(&first)?;
    apply_filter(&second)
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matching, arch)?.try_into()
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::fs::File;
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::UdpSocket;
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::thread;

    use super::restrict;

    /// A filter counts for the thread that sets it, and for those that it starts.
    fn in_a_thread(tokens: bool, test: impl FnOnce() + Send + 'static) {
        let filtered = move || {
            restrict(tokens).unwrap();
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
            let own = rustix::process::getpid();
            assert!(rustix::process::test_kill_process(own).is_ok());
            assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
        });
    }
}
