// SPDX-License-Identifier: Apache-2.0
//! Runs the C client. rustls-ffi is linked as a Rust crate.

use std::ffi::{CString, c_char, c_int};

extern crate rustls_ffi;

unsafe extern "C" {
    fn run_client(argc: c_int, argv: *const *const c_char) -> c_int;
}

fn main() {
    let args: Vec<CString> = std::env::args()
        .map(|arg| CString::new(arg).expect("arguments have no zero bytes"))
        .collect();
    let pointers: Vec<*const c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
    // SAFETY: the pointers are to strings that live until the call returns.
    let status = unsafe { run_client(pointers.len() as c_int, pointers.as_ptr()) };
    std::process::exit(status);
}
