// SPDX-License-Identifier: Apache-2.0
//! Compiles the client against the header that comes with rustls-ffi.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=client.c");
    // rustls-ffi declares `links = "rustls_ffi"`: cargo hands its metadata to the build scripts of its users.
    let include = env::var_os("DEP_RUSTLS_FFI_INCLUDE").expect("rustls-ffi tells where its header is");
    cc::Build::new()
        .file("client.c")
        .include(include)
        .warnings_into_errors(true)
        .compile("client");
}
