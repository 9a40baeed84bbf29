// SPDX-License-Identifier: Apache-2.0
//! Compiles the client against the header that comes with rustls-ffi.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=client.c");
    cc::Build::new()
        .file("client.c")
        .include(header_directory())
        .warnings_into_errors(true)
        .compile("client");
}

/// Cargo alone knows where the crate is.
fn header_directory() -> PathBuf {
    let cargo = std::env::var_os("CARGO").expect("cargo sets CARGO");
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline"])
        .output()
        .expect("cargo runs");
    let metadata = String::from_utf8(metadata.stdout).expect("cargo writes UTF-8");
    let manifest = metadata
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains("/rustls-ffi-"))
        .expect("rustls-ffi is a dependency");
    PathBuf::from(manifest).with_file_name("src")
}
