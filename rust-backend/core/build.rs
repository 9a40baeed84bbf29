// SPDX-License-Identifier: Apache-2.0
//! Finds out which versions of the TLS libraries are built in, for `SSL_VERSION_LIBRARY`: they do not tell themselves.

use std::path::Path;

fn main() {
    let lock_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock_file.display());
    let lock = std::fs::read_to_string(&lock_file).unwrap_or_default();
    let has = |feature: &str| std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let crypto = if has("RING") { "ring" } else { "aws-lc-rs" };
    let mode = if has("FIPS") { "-fips" } else { "" };
    let library = ["rustls", crypto]
        .map(|name| match locked_version(&lock, name) {
            Some(version) => format!("{name}/{version}"),
            None => name.to_owned(),
        })
        .join(" ")
        + mode;
    println!("cargo::rustc-env=MOD_TLS_LIBRARY={library}");
}

/// The version of the package `name` in the text of a Cargo.lock.
fn locked_version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}
