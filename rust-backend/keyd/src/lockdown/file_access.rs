// SPDX-License-Identifier: Apache-2.0
//! Landlock: no files, no TCP, no signals to other processes, decided by the kernel at the object rather than by the
//! number of a system call.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::Needs;

/// The newest version of Landlock that this was tested with. Older kernels do what they can.
const NEWEST: ABI = ABI::V6;

/// What no token needs. It may be in files and devices everywhere, and may be reached through the network; but nothing is
/// to be executed, and no device is to be made.
const NOT_FOR_TOKENS: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock});

/// What is read to find other machines and to verify their certificates. No private key is there.
const FOR_THE_NETWORK: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/ld.so.cache",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/run/systemd/resolve",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/lib",
    "/usr/lib64",
    "/lib",
    "/lib64",
];

/// Files that are written and read again.
const IN_A_DIRECTORY: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | MakeReg | RemoveFile | Truncate});

/// Takes from this thread, and from those it starts, the access to files, TCP and other processes. Descriptors that are
/// open, or that others send, keep working.
pub(super) fn restrict(needs: &Needs) -> Result<(), String> {
    let status = enforce(needs).map_err(|error| {
        format!(
            "Landlock could not be turned on ({error}): only seccomp keeps tls-keyd away from files and the network"
        )
    })?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err(partial(status.landlock)),
        RulesetStatus::NotEnforced => Err(missing(status.landlock)),
    }
}

fn enforce(needs: &Needs) -> Result<RestrictionStatus, RulesetError> {
    // What is handled is forbidden, unless a rule allows it.
    if needs.tokens {
        let ruleset = Ruleset::default().handle_access(NOT_FOR_TOKENS)?.scope(Scope::Signal)?;
        return ruleset.create()?.restrict_self();
    }
    let network = match needs.connects {
        true => AccessNet::BindTcp.into(),
        false => AccessNet::from_all(NEWEST),
    };
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(network)?
        .scope(Scope::from_all(NEWEST))?;
    // Symbolic links of certificates lead anywhere.
    let (readable, access): (&[&str], _) = match (needs.opens, needs.connects) {
        (true, _) => (&["/"], AccessFs::ReadFile.into()),
        (false, true) => (FOR_THE_NETWORK, AccessFs::ReadFile | AccessFs::ReadDir),
        (false, false) => (&[], BitFlags::empty()),
    };
    let mut ruleset = ruleset.create()?;
    for path in readable.iter().filter_map(|path| PathFd::new(path).ok()) {
        ruleset = ruleset.add_rule(PathBeneath::new(path, access))?;
    }
    // Without the directory, nothing is kept there.
    if let Some(directory) = needs.directory.as_ref().and_then(|path| PathFd::new(path).ok()) {
        ruleset = ruleset.add_rule(PathBeneath::new(directory, IN_A_DIRECTORY))?;
    }
    ruleset.restrict_self()
}

fn missing(landlock: LandlockStatus) -> String {
    let mend = match landlock {
        LandlockStatus::NotEnabled => "add landlock to the list lsm= of the kernel's command line",
        _ => {
            "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and a container that allows Landlock's system calls"
        }
    };
    format!("there is no Landlock: only seccomp keeps tls-keyd away from files and the network; {mend}")
}

fn partial(landlock: LandlockStatus) -> String {
    let abi = match landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        _ => ABI::Unsupported,
    };
    format!(
        "this kernel has version {abi} of Landlock, which does not know everything that tls-keyd forbids itself (TCP needs \
         Linux 6.7, signals and abstract sockets 6.12): for that, only seccomp is left"
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{self, ErrorKind, Read};
    use std::process::Command;
    use std::thread;

    use super::{ABI, LandlockStatus, Needs, missing, partial, restrict};

    /// A set of rules counts for the thread that sets it, and for those that it starts. Kernels without Landlock skip the
    /// test.
    fn in_a_thread(needs: Needs, test: impl FnOnce() + Send + 'static) {
        let restricted = move || match restrict(&needs) {
            Err(text) if text.starts_with("there is no Landlock") => eprintln!("skipped: {text}"),
            _ => test(),
        };
        thread::spawn(restricted).join().unwrap();
    }

    fn is_refused<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    #[test]
    fn no_file_can_be_opened_but_open_ones_can_be_read() {
        let mut open = File::open("/etc/passwd").unwrap();
        in_a_thread(Needs::default(), move || {
            assert!(is_refused(File::open("/etc/passwd")));
            assert!(is_refused(fs::read_dir("/")));
            assert!(open.read_to_string(&mut String::new()).unwrap() > 0);
        });
    }

    #[test]
    fn tokens_read_and_write_but_execute_nothing() {
        let tokens = Needs {
            tokens: true,
            ..Needs::default()
        };
        in_a_thread(tokens, || {
            assert!(File::open("/etc/passwd").is_ok());
            assert!(File::options().write(true).open("/dev/null").is_ok());
            assert!(is_refused(Command::new("/bin/true").status()));
        });
    }

    #[test]
    fn stores_are_read_and_not_written() {
        in_a_thread(Needs::of_opening(), || {
            assert!(File::open("/etc/passwd").is_ok());
            assert!(is_refused(File::options().write(true).open("/dev/null")));
            assert!(is_refused(std::net::TcpStream::connect("127.0.0.1:1")));
        });
    }

    #[test]
    fn who_talks_to_other_machines_reads_little() {
        in_a_thread(Needs::of_fetching(), || {
            assert!(is_refused(File::open("/etc/passwd")));
            assert!(File::open("/etc/hosts").is_ok());
            let refused = std::net::TcpStream::connect("127.0.0.1:1").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            assert!(is_refused(std::net::TcpListener::bind("127.0.0.1:0")));
        });
    }

    #[test]
    fn texts_say_what_to_do() {
        assert!(missing(LandlockStatus::NotEnabled).contains("lsm="));
        assert!(missing(LandlockStatus::NotImplemented).contains("Linux 5.13"));
        let old = LandlockStatus::Available {
            effective_abi: ABI::V3,
            kernel_abi: None,
        };
        assert!(partial(old).starts_with("this kernel has version 3 of Landlock"));
    }
}
