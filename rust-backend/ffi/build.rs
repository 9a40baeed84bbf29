// SPDX-License-Identifier: Apache-2.0
//! Generates `tls_backend.h`, the C side of this crate, into the directory that `TLS_BACKEND_HEADER_DIR` names.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-env-changed=TLS_BACKEND_HEADER_DIR");
    let directory = env::var_os("TLS_BACKEND_HEADER_DIR")
        .or_else(|| env::var_os("OUT_DIR"))
        .expect("cargo sets OUT_DIR");
    let header = PathBuf::from(directory).join("tls_backend.h");
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
