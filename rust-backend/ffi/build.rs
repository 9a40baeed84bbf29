// SPDX-License-Identifier: Apache-2.0
//! Generates the headers of the C half into the directory that `TLS_BACKEND_HEADER_DIR` names: `tls_backend.h`, the C side of
//! this crate, and `tls_directive_rows.h`, the table of directives.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-env-changed=TLS_BACKEND_HEADER_DIR");
    let directory = env::var_os("TLS_BACKEND_HEADER_DIR")
        .or_else(|| env::var_os("OUT_DIR"))
        .map(PathBuf::from)
        .expect("cargo sets OUT_DIR");
    write_directive_rows(&directory.join("tls_directive_rows.h"));
    write_interface(&directory.join("tls_backend.h"));
}

fn write_interface(header: &Path) {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    match cbindgen::generate(manifest_dir) {
        Ok(bindings) => {
            bindings.write_to_file(header);
        }
        // The compiler says it better.
        Err(cbindgen::Error::ParseSyntaxError { .. }) => {}
        Err(error) => panic!("tls_backend.h cannot be generated: {error}"),
    }
}

/// A file that is right already is left alone, so that nothing in C is compiled again because of it.
fn write_directive_rows(header: &Path) {
    let text = mod_tls_directives::header::text();
    if fs::read_to_string(header).is_ok_and(|old| old == text) {
        return;
    }
    if let Err(error) = fs::write(header, text) {
        panic!("{} cannot be written: {error}", header.display());
    }
}
