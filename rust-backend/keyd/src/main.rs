// SPDX-License-Identifier: Apache-2.0
//! `tls-keyd`: the process of mod_tls that holds private keys and signs.

#![forbid(unsafe_code)]

mod control;
mod files;
mod keys;
mod signing;
mod watch;

use std::os::fd::AsFd;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(socket) if std::env::args().any(|arg| arg == "--watch") => watch::watch(socket),
        Ok(socket) => control::serve(socket, Vec::new()),
        Err(_) => ExitCode::FAILURE,
    }
}
