// SPDX-License-Identifier: Apache-2.0
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::ocsp(data));
