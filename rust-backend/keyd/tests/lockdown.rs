// SPDX-License-Identifier: Apache-2.0
//! `tls-keyd --check`, as root and as somebody else: the steps, the state that the kernel reports, the attempts.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user that owns nothing.
const NOBODY: u32 = 65534;

/// What `--check` printed: each row by its name.
struct Report {
    rows: HashMap<String, String>,
    text: String,
}

impl Report {
    fn row(&self, what: &str) -> &str {
        self.rows
            .get(what)
            .unwrap_or_else(|| panic!("no row {what} in:\n{}", self.text))
    }

    fn assert_rows(&self, expected: &[(&str, &str)]) {
        for (what, value) in expected {
            assert_eq!(self.row(what), *value, "{what} in:\n{}", self.text);
        }
    }

    /// A step that a kernel or a container may lack; then a text says so.
    fn is_given_up(&self, what: &str, excuse: &str) -> bool {
        let done = self.row(what) == "yes";
        assert!(done || self.text.contains(excuse), "{what} in:\n{}", self.text);
        done
    }

    fn assert_refused(&self, attempts: &[&str]) {
        for what in attempts {
            assert!(self.row(what).starts_with("refused: "), "{what} in:\n{}", self.text);
        }
    }
}

/// Runs `--check`, as the user `uid` if there is one. `None` if that user cannot reach the directory of the tests.
fn check_as(uid: Option<u32>, options: &[&str]) -> Option<Report> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tls-keyd"));
    command.arg("--check").args(options).current_dir("/");
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && uid.is_some() => return None,
        other => other.unwrap(),
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "", "{text}");
    let rows: HashMap<String, String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_at_checked(37))
        .map(|(what, value)| (what.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let all_well = !rows.values().any(|value| value == "NO");
    assert_eq!(output.status.code(), Some(if all_well { 0 } else { 1 }), "{text}");
    Some(Report { rows, text })
}

fn check(options: &[&str]) -> Report {
    check_as(None, options).unwrap()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What holds everywhere, whoever starts it.
fn assert_common(report: &Report) {
    report.assert_rows(&[
        ("no core dumps, no debuggers", "yes"),
        ("no capabilities", "yes"),
        ("no privileges by exec", "yes"),
        ("seccomp: system calls", "yes"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("dumpable", "no"),
        ("limit of core dumps", "0"),
        ("keys and random numbers in a thread", "works"),
    ]);
    report.assert_refused(&["signal another process", "start a process", "execute a program"]);
    report.is_given_up("Landlock: files, network, signals", "Landlock");
    let locked = report.row("VmLck") != "0 kB";
    assert_eq!(
        report.is_given_up("memory kept out of swap", "LimitMEMLOCK=infinity"),
        locked
    );
}

#[test]
fn without_tokens_nothing_outside_is_reached() {
    let report = check(&[]);
    assert_common(&report);
    report.assert_refused(&["read a file", "write to a file", "open a network socket"]);
    if is_root() {
        // All of the secure bits but KEEP_CAPS, each with its lock.
        report.assert_rows(&[("CapBnd", "0000000000000000"), ("secure bits", "0xef")]);
    }
}

#[test]
fn tokens_reach_files_and_the_network() {
    let report = check(&["--tokens"]);
    assert_common(&report);
    report.assert_rows(&[
        ("read a file", "works"),
        ("write to a file", "works"),
        ("open a network socket", "works"),
    ]);
}

#[test]
fn root_becomes_another_user_for_good() {
    if !is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    for options in [&["--user", "1234:2345"][..], &["--user", "1234:2345", "--tokens"]] {
        let report = check(options);
        assert_common(&report);
        report.assert_rows(&[
            ("user and groups", "yes"),
            ("Uid", "1234 1234 1234 1234"),
            ("Gid", "2345 2345 2345 2345"),
            ("Groups", ""),
            ("CapBnd", "0000000000000000"),
        ]);
    }
}

#[test]
fn others_give_up_the_same() {
    if !is_root() {
        eprintln!("skipped: the other tests ran as somebody else already");
        return;
    }
    let Some(report) = check_as(Some(NOBODY), &["--user", "0:0"]) else {
        eprintln!("skipped: others have no access to {}", env!("CARGO_BIN_EXE_tls-keyd"));
        return;
    };
    assert_common(&report);
    report.assert_rows(&[
        ("Uid", "65534 65534 65534 65534"),
        ("no way back to capabilities", "yes"),
        ("user and groups", "NO"),
    ]);
    report.assert_refused(&["read a file", "write to a file", "open a network socket"]);
    assert!(
        report.text.contains("the user could not be changed to 0:0"),
        "{}",
        report.text
    );
}

#[test]
fn wrong_options_are_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_tls-keyd"))
        .args(["--check", "--user"])
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors.starts_with("tls-keyd: --user needs a name, or UID:GID\nusage: tls-keyd"),
        "{errors}"
    );
}

#[test]
fn it_is_not_started_by_hand() {
    let output = Command::new(env!("CARGO_BIN_EXE_tls-keyd"))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("started by mod_tls, not by hand")
    );
}
