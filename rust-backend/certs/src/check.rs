// SPDX-License-Identifier: Apache-2.0
//! `tls-certs check`: certificates and keys in files, as the module sees them.

use std::fmt;
use std::path::{Path, PathBuf};

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::file_reading;
use mod_tls_core::base::place::Place;
use mod_tls_core::keys::identity::IdentityFiles;
use mod_tls_core::keys::inspection::{Inspection, inspect};
use mod_tls_core::trust::anchors::{Anchors, Report};
use serde::Serialize;

use crate::Outcome;
use crate::command_line::Check;
use crate::output::{CertificateJson, Output, expiry};

/// The result for all pairs.
#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    pairs: Vec<Pair>,
    #[serde(skip)]
    now: i64,
}

/// A certificate and its key.
#[derive(Debug, Serialize)]
struct Pair {
    ok: bool,
    certificate_file: PathBuf,
    key_file: PathBuf,
    chain_file: Option<PathBuf>,
    /// None if no server can use the files.
    certificate: Option<CertificateJson>,
    issuers: Vec<String>,
    problems: Vec<String>,
    notes: Vec<String>,
}

pub(crate) fn run(options: &Check, output: Output) -> Result<Outcome, String> {
    let now = unix_now();
    let mut report = Report::default();
    let places = options.ca.iter().cloned().map(Place::from);
    let anchors = Anchors::load_with_system(places, true, &mut report);
    if let Some(error) = report.errors.first() {
        return Err(format!("--ca {error}"));
    }
    let pairs = pairs(&options.files, options.chain.as_deref());
    let checked: Vec<_> = pairs.iter().map(|files| check(files, options, &anchors, now)).collect();
    let checked = Checked {
        ok: checked.iter().all(|pair| pair.ok),
        pairs: checked,
        now,
    };
    output.print(&checked)?;
    Ok(if checked.ok { Outcome::Fine } else { Outcome::Problem })
}

/// Which files belong together: a file without a certificate belongs to the one before it.
fn pairs(files: &[PathBuf], chain: Option<&Path>) -> Vec<IdentityFiles> {
    let mut pairs: Vec<IdentityFiles> = Vec::new();
    for (at, file) in files.iter().enumerate() {
        match pairs.last_mut() {
            // If the first file is the key, the two are in the wrong order, which the check tells.
            Some(pair) if pair.key.is_none() && (!has_certificate(file) || at == 1 && !has_certificate(&files[0])) => {
                pair.key = Some(file.as_path().into());
            }
            _ => pairs.push(IdentityFiles {
                certificate: file.as_path().into(),
                key: None,
                chain: chain.map(Into::into),
            }),
        }
    }
    pairs
}

/// Whether there is a certificate in the file, as far as can be seen. One that cannot be read is told about later.
fn has_certificate(file: &Path) -> bool {
    const MARKS: [&[u8]; 2] = [b"BEGIN CERTIFICATE", b"BEGIN TRUSTED CERTIFICATE"];
    let Ok(content) = file_reading::read(file) else {
        return false;
    };
    MARKS
        .iter()
        .any(|mark| content.windows(mark.len()).any(|window| window == *mark))
}

fn check(files: &IdentityFiles, options: &Check, anchors: &Anchors, now: i64) -> Pair {
    let names: Vec<&str> = options.names.iter().map(String::as_str).collect();
    let inspected = inspect(files, &names, anchors, now);
    let (inspection, mut problems) = match inspected {
        Ok(inspection) => {
            let problems = inspection.problems.clone();
            (Some(inspection), problems)
        }
        Err(error) => (None, vec![error.to_string()]),
    };
    if let (Some(Inspection { leaf, .. }), Some(within)) = (&inspection, options.expires_within)
        && leaf.not_after >= now
        && leaf.not_after < now.saturating_add_unsigned(within.as_secs())
    {
        problems.push(format!(
            "{}: the certificate expires soon, on {}",
            files.certificate.display(),
            expiry(leaf.not_after, now)
        ));
    }
    let leaf = inspection.as_ref().map(|found| CertificateJson::new(&found.leaf, now));
    let (issuers, notes) = inspection.map(|found| (found.issuers, found.notes)).unwrap_or_default();
    Pair {
        ok: problems.is_empty(),
        certificate_file: files.certificate.to_path_buf(),
        key_file: files.key.as_ref().unwrap_or(&files.certificate).to_path_buf(),
        chain_file: files.chain.as_deref().map(Into::into),
        certificate: leaf,
        issuers,
        problems,
        notes,
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in &self.pairs {
            let result = if pair.ok { "OK" } else { "NOT OK" };
            writeln!(f, "{}: {result}", pair.certificate_file.display())?;
            if let Some(certificate) = &pair.certificate {
                writeln!(f, "  names     {}", certificate.names.join(", "))?;
                writeln!(f, "  key       {}, in {}", certificate.key, pair.key_file.display())?;
                writeln!(f, "  expires   {}", expiry(certificate.not_after.0, self.now))?;
                let chain: Vec<&str> = pair.issuers.iter().map(String::as_str).collect();
                let chain = if chain.is_empty() { "none" } else { &chain.join(", ") };
                writeln!(f, "  issuer    {}", certificate.issuer)?;
                writeln!(f, "  chain     {chain}")?;
            }
            for text in &pair.problems {
                writeln!(f, "  problem   {text}")?;
            }
            for text in &pair.notes {
                writeln!(f, "  note      {text}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_that_belong_together() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let certificate = file("a.pem", "-----BEGIN CERTIFICATE-----");
        let key = file("a.key", "-----BEGIN PRIVATE KEY-----");
        let both = file("b.pem", "-----BEGIN PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----");
        let found = |files: &[&PathBuf]| -> Vec<(PathBuf, Option<PathBuf>)> {
            let files: Vec<_> = files.iter().map(|file| (*file).clone()).collect();
            let pairs = pairs(&files, None).into_iter();
            pairs
                .map(|pair| (pair.certificate.to_path_buf(), pair.key.map(|key| key.to_path_buf())))
                .collect()
        };
        let alone = |path: &PathBuf| (path.clone(), None);
        let pair = |one: &PathBuf, other: &PathBuf| (one.clone(), Some(other.clone()));
        assert_eq!(found(&[&both]), [alone(&both)]);
        assert_eq!(
            found(&[&certificate, &key, &both]),
            [pair(&certificate, &key), alone(&both)]
        );
        assert_eq!(
            found(&[&both, &certificate, &key]),
            [alone(&both), pair(&certificate, &key)]
        );
        assert_eq!(found(&[&key, &certificate]), [pair(&key, &certificate)]);
    }
}
