// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Shows and checks the certificates of mod_tls
///
/// The exit status is 0 if all is well, 1 if a problem was found, and 2 if the command line is wrong or the server cannot be asked.
#[derive(Debug, Parser)]
#[command(name = "tls-certs", version, max_term_width = 100)]
pub(crate) struct CommandLine {
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The socket of the running server (TLSControl); by default that in httpd's usual directory
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "TLS_CERTS_SOCKET",
        hide_env_values = true
    )]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check certificates and keys in files, without a server
    Check(Check),
    /// List the certificates that the running server uses
    List(List),
    /// Show what a client that asks for this name gets, and why
    Show(Show),
    /// Have the running server look at files now
    Reload(Targets),
    /// Wait until the running server uses what is in files now
    Wait(Wait),
    /// Store a certificate and its key in a Redis server (TLSCertificateStore)
    Put(Put),
    /// Remove certificates from a Redis server
    Remove(Remove),
    /// Seal a private key, or make a sealing key
    Seal(Seal),
    /// Print the completion of this command line for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// A certificate with its intermediate certificates, followed by the file of its key unless that is in the same file; further
    /// ones may follow
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A file with intermediate certificates, as SSLCertificateChainFile
    #[arg(long, value_name = "FILE")]
    pub(crate) chain: Option<PathBuf>,
    /// A name that each certificate has to cover
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// A file or directory of CA certificates that are trusted besides those of this system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// A certificate that expires within this time is a problem: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = days)]
    pub(crate) expires_within: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only hosts and certificates with such a name or file; * stands for any characters
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,
    /// Only certificates that expire within this time: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = days)]
    pub(crate) expires_within: Option<Duration>,
    /// By what to sort
    #[arg(long, value_enum, default_value_t = Order::Expiry)]
    pub(crate) sort: Order,
}

/// By what to sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// What expires first, first
    Expiry,
    /// The name of the host
    Name,
    /// The file of the certificate
    File,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The name, as clients send it; for an IP address, what a client without a server name gets
    pub(crate) name: String,
    /// Only at this address of the server: [IP:]PORT
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Targets {
    /// The name of a host, or the path of a certificate, of its key, or of a directory with certificates
    #[arg(required = true, value_name = "NAME|FILE")]
    pub(crate) targets: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) targets: Targets,
    /// How long to wait at most: 30s, 2m
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// A Redis server with certificates.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The URL of the Redis server: redis://HOST/, or rediss:// for TLS; a password is better in the environment
    #[arg(long, value_name = "URL", env = "TLS_CERTS_STORE", hide_env_values = true)]
    pub(crate) store: String,
    /// The CA of the server's certificate, if it is none of this system's
    #[arg(long, value_name = "FILE")]
    pub(crate) store_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Put {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The file of the sealing key
    #[arg(long, value_name = "FILE")]
    pub(crate) sealing_key: PathBuf,
    /// The certificate with its intermediate certificates
    #[arg(value_name = "FILE")]
    pub(crate) certificate: PathBuf,
    /// Its private key, unless that is in the same file
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<PathBuf>,
    /// A file or directory of CA certificates that are trusted besides those of this system
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// A name under which it is stored, instead of all those that it is for
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    pub(crate) server: Server,
    /// The names under which certificates are stored
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Seal {
    /// Write a new sealing key to this file, which must not be there yet
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sealing_key", "name", "key"])]
    pub(crate) new_key: Option<PathBuf>,
    /// The file of the sealing key
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    pub(crate) sealing_key: Option<PathBuf>,
    /// The name under which the key will be stored
    #[arg(value_name = "NAME", required_unless_present = "new_key")]
    pub(crate) name: Option<String>,
    /// The file of the private key
    #[arg(value_name = "KEY", required_unless_present = "new_key")]
    pub(crate) key: Option<PathBuf>,
}

/// The units of times, in seconds.
const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];

fn days(text: &str) -> Result<Duration, String> {
    time(text, 'd')
}

fn seconds(text: &str) -> Result<Duration, String> {
    time(text, 's')
}

/// A number with a unit; without one it is in `usual` ones.
fn time(text: &str, usual: char) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (&text[..at], unit),
        _ => (text, usual),
    };
    let size = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| size);
    let time = size.zip(number.parse::<u32>().ok());
    time.map(|(size, number)| Duration::from_secs(size * u64::from(number)))
        .ok_or_else(|| "a time is a number with s, m, h, d or w behind it: 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(days("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(days("2"), Ok(Duration::from_secs(2 * 86_400)));
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0s"), Ok(Duration::ZERO));
        for wrong in ["", "d", "1y", "-1d", "1.5d", "1d2h", "99999999999w", "1\u{e4}"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
