// SPDX-License-Identifier: Apache-2.0
//! `tls-certs`: shows and checks the certificates of mod_tls.
//!
//! Each command is a file. Those about a running server ask it by a socket ([`server`]) and read its catalogue; what a certificate,
//! a chain or a server name is worth, the code of the module decides.

#![forbid(unsafe_code)]

mod check;
mod command_line;
mod list;
mod output;
mod put;
mod redis_server;
mod seal;
mod server;
mod show;
mod stores;
mod targets;
mod wait;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use command_line::{Command, CommandLine};
use output::Output;

/// How a command ends, unless it cannot do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There is no problem.
    Fine,
    /// There is one, which was shown.
    Problem,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let output = Output::new(line.json);
    let socket = line.socket.as_deref();
    let outcome = match line.command {
        Command::Check(options) => check::run(&options, output),
        Command::List(options) => list::run(&options, socket, output),
        Command::Show(options) => show::run(&options, socket, output),
        Command::Reload(options) => wait::reload(&options, socket, output),
        Command::Wait(options) => wait::run(&options, socket, output),
        Command::Put(options) => put::put(&options, output),
        Command::Remove(options) => put::remove(&options, output),
        Command::Seal(options) => seal::run(&options, output),
        Command::Completion { shell } => {
            let mut command = CommandLine::command();
            clap_complete::generate(shell, &mut command, "tls-certs", &mut std::io::stdout());
            Ok(Outcome::Fine)
        }
    };
    match outcome {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Problem) => ExitCode::from(1),
        Err(why) => {
            eprintln!("tls-certs: {why}");
            ExitCode::from(2)
        }
    }
}
