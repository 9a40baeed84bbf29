// SPDX-License-Identifier: Apache-2.0
//! `tls-keyd`: the process of mod_tls that holds private keys and signs.

#![forbid(unsafe_code)]

mod check;
mod control;
mod files;
mod keys;
mod lockdown;
mod parent;
mod revocation;
mod signing;
mod stores;
mod supply;
mod token_orders;
mod tokens;
mod watch;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use lockdown::Needs;

const USAGE: &str = "\
usage: tls-keyd --check [--tokens] [--user NAME|UID:GID]
       tls-keyd --version
       tls-keyd --help

tls-keyd holds the private keys of httpd and signs with them. mod_tls starts it; nobody else does.

  --check    gives up what tls-keyd gives up, tries whether that is so, and shows it;
             the exit status is 0 if nothing is missing, else 1
  --tokens   as if keys in PKCS#11 tokens were configured
  --user     as root: run as this user, of /etc/passwd or by numbers; with --tokens also in the
             groups that /etc/group has for the name
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--help" | "-h"] => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        ["--version"] => {
            println!("tls-keyd {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        ["--check", options @ ..] => with_options(options, |needs| check::run(&needs)),
        ["--watch"] => with_socket(|socket| {
            let _ = lockdown::apply(&Needs::of_watch());
            watch::watch(socket)
        }),
        ["--open"] => with_socket(|socket| {
            let _ = lockdown::apply(&Needs::of_opening());
            supply::serve(socket)
        }),
        ["--fetch"] => with_socket(|socket| {
            let _ = lockdown::apply(&Needs::of_fetching());
            supply::serve(socket)
        }),
        ["--revocation", path, options @ ..] => with_socket(|socket| match check::options(options) {
            Ok(Needs { user, .. }) => {
                let directory = revocation::directory(Path::new(path), user.as_ref());
                let _ = lockdown::apply(&Needs::of_revocation(path, user));
                revocation::serve(socket, directory)
            }
            Err(_) => ExitCode::from(2),
        }),
        ["--bell"] => with_socket(|socket| {
            let _ = lockdown::apply(&Needs::default());
            watch::ring(socket)
        }),
        options => with_socket(|socket| {
            let locked_down = check::options(options).and_then(|needs| lockdown::apply(&needs));
            control::serve(socket, locked_down)
        }),
    }
}

fn with_options(options: &[&str], run: impl FnOnce(Needs) -> ExitCode) -> ExitCode {
    match check::options(options) {
        Ok(needs) => run(needs),
        Err(error) => {
            eprint!("tls-keyd: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs what needs the socket that is standard input if mod_tls has started this process.
fn with_socket(run: impl FnOnce(OwnedFd) -> ExitCode) -> ExitCode {
    let input = std::io::stdin();
    match (
        rustix::net::sockopt::socket_type(input.as_fd()),
        input.as_fd().try_clone_to_owned(),
    ) {
        (Ok(_), Ok(socket)) => run(socket),
        _ => {
            eprintln!("tls-keyd is started by mod_tls, not by hand; see --help");
            ExitCode::from(2)
        }
    }
}
