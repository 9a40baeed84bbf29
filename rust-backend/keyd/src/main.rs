// SPDX-License-Identifier: Apache-2.0
//! `tls-keyd`: the process of mod_tls that holds private keys and signs.

#![forbid(unsafe_code)]

fn main() {}
