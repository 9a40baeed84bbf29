// SPDX-License-Identifier: Apache-2.0
//! Tokens of SoftHSM for tests.
//!
//! A module is initialised once in a process, with the configuration that an environment variable names. Therefore each
//! test runs in a process of its own: the test starts itself again.

use std::any::type_name;
use std::collections::HashSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;
use zeroize::Zeroizing;

use crate::tokens::{Ask, Tokens};

const DIRECTORY: &str = "MOD_TLS_TEST_SOFTHSM";
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
pub(super) const PIN: &str = "1234";
const SO_PIN: &str = "56789";

/// The tokens of one test.
pub(super) struct SoftHsm {
    directory: PathBuf,
    pub(super) module: &'static str,
}

/// Runs `body`, the only closure of a test, in a process of its own, if SoftHSM is installed.
pub(super) fn test<F: FnOnce(&SoftHsm)>(body: F) {
    let Some(module) = MODULES.into_iter().find(|file| Path::new(file).is_file()) else {
        println!("skipped: there is no libsofthsm2.so, install softhsm2");
        return;
    };
    if let Some(directory) = env::var_os(DIRECTORY) {
        let directory = directory.into();
        return body(&SoftHsm { directory, module });
    }
    let closure = type_name::<F>();
    let (_, name) = closure.split_once("::").expect("it starts with the crate");
    let name = name.strip_suffix("::{{closure}}").expect("it is a closure");
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let conf = directory.path().join("softhsm2.conf");
    let tokens = directory.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        tokens.display()
    );
    fs::write(&conf, text).unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", conf)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name}: {text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs a tool, which has to succeed, and returns its output.
fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> String {
    let output = Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

impl SoftHsm {
    /// Makes a token and returns its directory.
    pub(super) fn token(&self, label: &str) -> PathBuf {
        let directories = || {
            let entries = fs::read_dir(self.directory.join("tokens")).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect::<HashSet<_>>()
        };
        let before = directories();
        run(
            "softhsm2-util",
            [
                "--init-token",
                "--free",
                "--label",
                label,
                "--pin",
                PIN,
                "--so-pin",
                SO_PIN,
            ],
        );
        let mut new = directories().into_iter().filter(|path| !before.contains(path));
        new.next().expect("it has a directory")
    }

    /// Runs pkcs11-tool, logged in to a token.
    pub(super) fn tool(&self, token: &str, args: &[&str]) -> String {
        let mut all = vec!["--module", self.module, "--token-label", token, "--login", "--pin", PIN];
        all.extend(args);
        run("pkcs11-tool", all)
    }

    /// Makes a pair of keys.
    pub(super) fn key_pair(&self, token: &str, kind: &str, label: &str, id: &str) {
        self.tool(
            token,
            &["--keypairgen", "--key-type", kind, "--label", label, "--id", id],
        );
    }

    /// Puts an object into a token: `kind` is `cert`, `privkey` or `pubkey`.
    pub(super) fn write(&self, token: &str, der: &[u8], kind: &str, label: &str, id: &str) {
        let file = self.file("object.der", der);
        let file = file.to_str().unwrap();
        self.tool(
            token,
            &["--write-object", file, "--type", kind, "--label", label, "--id", id],
        );
    }

    /// Writes a file beside the tokens.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.directory.join(name);
        fs::write(&file, content).unwrap();
        file
    }

    /// Takes all tokens away.
    pub(super) fn remove(&self) {
        fs::rename(self.directory.join("tokens"), self.directory.join("away")).unwrap();
        fs::create_dir(self.directory.join("tokens")).unwrap();
    }

    /// Puts them back.
    pub(super) fn put_back(&self) {
        fs::remove_dir(self.directory.join("tokens")).unwrap();
        fs::rename(self.directory.join("away"), self.directory.join("tokens")).unwrap();
    }

    /// A URI with the PIN.
    pub(super) fn uri(&self, path: &str) -> Pkcs11Uri {
        self.uri_with(path, &format!("&pin-value={PIN}"))
    }

    /// A URI with other attributes.
    pub(super) fn uri_with(&self, path: &str, query: &str) -> Pkcs11Uri {
        let text = format!("pkcs11:{path}?module-path={}{query}", self.module);
        Pkcs11Uri::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}

/// A dialog that must not appear.
pub(super) fn nobody(prompt: &str) -> Result<Zeroizing<String>, String> {
    panic!("nobody is to be asked: {prompt}")
}

/// The error for a key, which must not be found.
pub(super) fn refusal(tokens: &Tokens, uri: &Pkcs11Uri, ask: &mut Ask<'_>) -> String {
    tokens.key(uri, ask).expect_err("it is to be refused")
}
