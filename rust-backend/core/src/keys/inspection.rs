// SPDX-License-Identifier: Apache-2.0
//! Looks at certificates and keys that no server uses yet: `tls-certs check`.

use crate::keys::identity::{Identity, IdentityError, IdentityFiles, IdentityStore};
use crate::keys::key_file::KeyReader;
use crate::keys::unlock::Unlock;
use crate::trust::anchors::Anchors;
use crate::x509::facts::CertificateFacts;
use crate::x509::{Certificate, Context};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// The certificate.
    pub leaf: CertificateFacts,
    /// The names of the issuers that are presented with it.
    pub issuers: Vec<String>,
    /// What clients or administrators will not like, with the remedy.
    pub problems: Vec<String>,
    /// What is unusual but may be meant.
    pub notes: Vec<String>,
}

/// Looks at what is in `files`, as a server does at `now`, in seconds since 1970. `names` have to be covered; `anchors` are the CAs
/// that clients trust. An error says why no server can use the files.
pub fn inspect(
    files: &IdentityFiles,
    names: &[&str],
    anchors: &Anchors,
    now: i64,
) -> Result<Inspection, IdentityError> {
    let identity = IdentityStore::default().load(files, &KeyReader::Here(None), &Unlock::Nobody)?;
    let bad =
        |error: crate::x509::X509Error| IdentityError::BadCertificate(files.certificate.clone(), 1, error.to_string());
    let leaf = identity.leaf();
    let leaf = Certificate::parse(&leaf).map_err(bad)?;
    let parsed = identity
        .issuers()
        .iter()
        .map(|der| Certificate::parse(der).map_err(bad));
    let issuers: Vec<_> = parsed.collect::<Result<_, _>>()?;
    let mut problems: Vec<String> = identity.validity_problem(now).into_iter().collect();
    problems.extend(identity.warnings(files));
    let uncovered = identity.uncovered(names);
    if !uncovered.is_empty() {
        let text = format!(
            "{}: the certificate is not for {}, but for {}: clients that ask for it will refuse the certificate",
            identity.name(),
            uncovered.join(", "),
            leaf.names().join(", ")
        );
        problems.push(text);
    }
    for (at, certificate) in std::iter::once(&leaf).chain(&issuers).enumerate() {
        let found = weaknesses(certificate, at, now);
        problems.extend(found.iter().map(|text| format!("{}: {text}", identity.name())));
    }
    let mut notes = Vec::new();
    match about_end(&identity, &leaf, &issuers, anchors) {
        End::Known => {}
        End::Unusual(text) => notes.push(format!("{}: {text}", identity.name())),
        End::Missing(text) => problems.push(format!("{}: {text}", identity.name())),
    }
    Ok(Inspection {
        leaf: CertificateFacts::of(&leaf),
        issuers: issuers.iter().map(Certificate::subject).collect(),
        problems,
        notes,
    })
}

/// The certificate in files of a store, as a server uses it at `now` for a client that asks for `name`. An error says why it does
/// not.
pub fn in_store(files: &IdentityFiles, name: &str, now: i64) -> Result<CertificateFacts, String> {
    let loaded = IdentityStore::default().load(files, &KeyReader::Here(None), &Unlock::Nobody);
    let identity = loaded.map_err(|error| error.to_string())?;
    if !identity.covers(name) {
        return Err(format!("{}: the certificate is not for {name}", identity.name()));
    }
    if let Some(problem) = identity.validity_problem(now) {
        return Err(problem);
    }
    let leaf = identity.leaf();
    let parsed = Certificate::parse(&leaf).map_err(|error| error.to_string())?;
    Ok(CertificateFacts::of(&parsed))
}

/// What clients refuse about certificate `at` of the chain, counted from 0. What is wrong with the time and the key of the first
/// one is found elsewhere.
fn weaknesses(certificate: &Certificate<'_>, at: usize, now: i64) -> Vec<String> {
    let who = format!("certificate {} ({})", at + 1, certificate.subject());
    let mut texts = Vec::new();
    let is_root = certificate.issuer_der() == certificate.subject_der();
    let signature = certificate.variable("A_SIG", &Context::at(now)).unwrap_or_default();
    let digest = ["md5", "sha1"]
        .into_iter()
        .find(|digest| signature.to_lowercase().contains(digest));
    // Nobody looks at the signature of a root.
    if let Some(digest) = digest.filter(|_| !is_root) {
        let digest = digest.to_uppercase();
        texts.push(format!(
            "{who} is signed by {digest}, which clients refuse: have it reissued"
        ));
    }
    if at == 0 {
        return texts;
    }
    if certificate.not_after() < now {
        texts.push(format!(
            "{who} has expired: fetch the current certificates of the CA, and put them behind the first one"
        ));
    }
    let bits = certificate
        .key_type()
        .strip_prefix("RSA ")
        .and_then(|bits| bits.parse::<u32>().ok());
    if let Some(bits) = bits.filter(|bits| *bits < 2048) {
        texts.push(format!(
            "{who} has an RSA key of {bits} bits, which clients refuse: use another CA"
        ));
    }
    texts
}

/// What is above the last certificate.
enum End {
    /// A CA that clients trust.
    Known,
    Unusual(String),
    Missing(String),
}

fn about_end(identity: &Identity, leaf: &Certificate<'_>, issuers: &[Certificate<'_>], anchors: &Anchors) -> End {
    let last = issuers.last().unwrap_or(leaf);
    if identity.is_out_of_order() {
        // That was said.
        return End::Known;
    }
    if last.issuer_der() == last.subject_der() {
        return End::Unusual(match issuers.is_empty() {
            true => "the certificate is self-signed: only clients that were given it trust it".to_owned(),
            false => format!(
                "the last certificate ({}) is a root, which clients have or do not trust: it can be left out",
                last.subject()
            ),
        });
    }
    match anchors.with_subject(last.issuer_der()) {
        Some(_) => End::Known,
        None => End::Missing(format!(
            "the issuer of the last certificate ({}) is neither in the file nor among the CAs that are trusted here: put the \
             intermediate certificates behind the first one, or name a private CA with --ca",
            Certificate::variable(last, "I_DN", &Context::at(0)).unwrap_or_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::base::clock::unix_now;
    use crate::trust::anchors::Report;

    fn params(names: &[&str], common_name: &str) -> CertificateParams {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }

    fn ca(common_name: &str) -> (CertificateParams, KeyPair) {
        let mut params = params(&[], common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    }

    fn anchors(pem: &str) -> Anchors {
        let found = crate::x509::pem::parse(pem.as_bytes()).unwrap();
        let found = std::mem::take(&mut { found }.certificates);
        let certificates = found.into_iter().map(|der| ("ca".into(), der)).collect();
        Anchors::new(certificates, &mut Report::default())
    }

    fn look(directory: &Path, chain: &str, key: &KeyPair, names: &[&str], anchors: &Anchors) -> Inspection {
        let file = directory.join("site.pem");
        fs::write(&file, format!("{chain}{}", key.serialize_pem())).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let files = IdentityFiles {
            certificate: file.into(),
            key: None,
            chain: None,
        };
        inspect(&files, names, anchors, unix_now()).unwrap()
    }

    #[test]
    fn a_chain_and_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let (root_params, root_key) = ca("root");
        let root = root_params.self_signed(&root_key).unwrap();
        let (middle_params, middle_key) = ca("middle");
        let issuer = Issuer::from_params(&root_params, &root_key);
        let middle = middle_params.signed_by(&middle_key, &issuer).unwrap();
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&middle_params, &middle_key);
        let leaf = params(&["a.example"], "a").signed_by(&key, &issuer).unwrap();
        let (root, middle, leaf) = (root.pem(), middle.pem(), leaf.pem());
        let trusted = anchors(&root);
        let good = look(
            directory.path(),
            &(leaf.clone() + &middle),
            &key,
            &["a.example"],
            &trusted,
        );
        assert_eq!((good.problems.len(), good.notes.len()), (0, 0), "{good:?}");
        assert_eq!(good.issuers, ["CN=middle"]);
        let with_root = look(
            directory.path(),
            &[&*leaf, &middle, &root].concat(),
            &key,
            &[],
            &trusted,
        );
        assert!(with_root.problems.is_empty() && with_root.notes[0].contains("is a root"));
        let alone = look(directory.path(), &leaf, &key, &["b.example"], &trusted);
        assert!(
            alone.problems[0].contains("is not for b.example, but for a.example"),
            "{alone:?}"
        );
        assert!(alone.problems[1].contains("the issuer of the last certificate (CN=middle) is neither"));
        let swapped = look(
            directory.path(),
            &[&*leaf, &root, &middle].concat(),
            &key,
            &[],
            &trusted,
        );
        assert!(
            swapped.problems[0].contains("has not issued the one before it"),
            "{swapped:?}"
        );
        assert_eq!(swapped.problems.len(), 1);
    }
}
