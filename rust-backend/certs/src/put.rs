// SPDX-License-Identifier: Apache-2.0
//! `tls-certs put` and `tls-certs remove`: certificates in a Redis server.

use std::fmt;

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::file_reading;
use mod_tls_core::base::host_name::HostName;
use mod_tls_core::base::place::Place;
use mod_tls_core::keys::identity::IdentityFiles;
use mod_tls_core::keys::inspection::inspect;
use mod_tls_core::trust::anchors::{Anchors, Report};
use mod_tls_core::x509::pem;
use serde::Serialize;

use crate::Outcome;
use crate::command_line::{Put, Remove};
use crate::output::{CertificateJson, Output, expiry};
use crate::redis_server::RedisServer;
use crate::seal::{sealing_keys, secret_in};

/// What was stored.
#[derive(Debug, Serialize)]
struct Stored {
    names: Vec<String>,
    certificate: CertificateJson,
    problems: Vec<String>,
    #[serde(skip)]
    now: i64,
}

pub(crate) fn put(options: &Put, output: Output) -> Result<Outcome, String> {
    let now = unix_now();
    let files = IdentityFiles {
        certificate: options.certificate.as_path().into(),
        key: options.key.as_deref().map(Into::into),
        chain: None,
    };
    let mut report = Report::default();
    let places = options.ca.iter().cloned().map(Place::from);
    let anchors = Anchors::load_with_system(places, true, &mut report);
    if let Some(error) = report.errors.first() {
        return Err(format!("--ca {error}"));
    }
    let names: Vec<&str> = options.names.iter().map(String::as_str).collect();
    let found = inspect(&files, &names, &anchors, now).map_err(|error| error.to_string())?;
    let names = match options.names.is_empty() {
        true => found.leaf.names.clone(),
        false => options.names.clone(),
    };
    let names: Vec<String> = names.iter().map(|name| checked(name)).collect::<Result<_, _>>()?;
    if found.leaf.not_after < now {
        return Err(format!(
            "{}: the certificate has expired",
            options.certificate.display()
        ));
    }
    let text = file_reading::read(&options.certificate).map_err(|error| error.to_string())?;
    let certificates = pem::public_part(&text);
    let secret = secret_in(options.key.as_ref().unwrap_or(&options.certificate))?;
    let keys = sealing_keys(&options.sealing_key)?;
    let mut server = RedisServer::connect(&options.server)?;
    for name in &names {
        let sealed = keys.seal(name, &secret).map_err(|error| error.to_string())?;
        server.put(name, &certificates, &sealed)?;
    }
    output.print(&Stored {
        names,
        certificate: CertificateJson::new(&found.leaf, now),
        problems: found.problems,
        now,
    })?;
    Ok(Outcome::Fine)
}

/// A name as it is looked up, which may begin with `*.`.
fn checked(name: &str) -> Result<String, String> {
    let (wildcard, rest) = match name.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", name),
    };
    HostName::new(rest)
        .map(|name| format!("{wildcard}{}", name.as_str()))
        .ok_or_else(|| format!("{name} is no host name: say by --name for which names the certificate is"))
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "warning: {problem}")?;
        }
        let until = expiry(self.certificate.not_after.0, self.now);
        for name in &self.names {
            writeln!(f, "{name}: stored, expires {until}")?;
        }
        Ok(())
    }
}

/// What was removed.
#[derive(Debug, Serialize)]
struct Removed {
    removed: Vec<String>,
    missing: Vec<String>,
}

pub(crate) fn remove(options: &Remove, output: Output) -> Result<Outcome, String> {
    let names: Vec<String> = options
        .names
        .iter()
        .map(|name| checked(name))
        .collect::<Result<_, _>>()?;
    let mut server = RedisServer::connect(&options.server)?;
    let mut result = Removed {
        removed: Vec::new(),
        missing: Vec::new(),
    };
    for name in names {
        match server.remove(&name)? {
            true => result.removed.push(name),
            false => result.missing.push(name),
        }
    }
    output.print(&result)?;
    Ok(match result.missing.is_empty() {
        true => Outcome::Fine,
        false => Outcome::Problem,
    })
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.removed {
            writeln!(f, "{name}: removed")?;
        }
        for name in &self.missing {
            writeln!(f, "{name}: there is no certificate")?;
        }
        Ok(())
    }
}
