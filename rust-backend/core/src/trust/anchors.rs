// SPDX-License-Identifier: Apache-2.0
//! `TLSClientCA`, `TLSProxyCA`: the trusted CAs.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::base::diagnostics::{Diagnostics, Origin, Severity};
use crate::base::file_reading;
use crate::base::place::Place;
use crate::crypto::digest;
use crate::x509::Certificate;
use crate::x509::pem;
use crate::x509::wrong_file;

/// The certificate of a trusted CA.
#[derive(Debug)]
pub struct Anchor {
    /// The file of the certificate.
    pub file: PathBuf,
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// The start and the end of the validity, in seconds since 1970.
    pub validity: (i64, i64),
    /// Whether it may issue certificates: it is a CA certificate as defined in RFC 5280, or its X.509 version has no
    /// extensions.
    pub may_issue: bool,
}

/// All CAs that a host trusts.
///
/// # Examples
///
/// ```
/// use mod_tls_core::trust::anchors::{Anchors, Report};
/// use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
///
/// let mut params = CertificateParams::default();
/// params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
/// let ca = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
/// let mut report = Report::default();
/// let anchors = Anchors::new(vec![("ca.pem".into(), ca.der().clone())], &mut report);
/// assert!(anchors.list()[0].may_issue && report.errors.is_empty());
/// ```
#[derive(Debug)]
pub struct Anchors {
    list: Vec<Anchor>,
    /// The anchors in webpki's representation, in the same order.
    trust: Vec<TrustAnchor<'static>>,
    /// Certificates that cannot be used, and the reasons.
    refused: Vec<String>,
    /// The names that are sent to clients.
    names: Arc<[DistinguishedName]>,
    digest: [u8; 32],
}

/// A CertificateRequest can contain 65535 bytes of names (RFC 8446 section 4.2.4). This leaves space for its other
/// contents.
const MAX_NAMES: usize = 60_000;

/// Messages about CA files.
#[derive(Debug, Default)]
pub struct Report {
    /// Problems that make the configuration unusable.
    pub errors: Vec<String>,
    /// Warnings for the administrator.
    pub warnings: Vec<String>,
}

impl Report {
    /// Reports all messages about server `index` and the directive at `origin`, each after `prefix`. True if there was
    /// no error.
    pub(crate) fn tell(
        self,
        diagnostics: &mut Diagnostics,
        index: usize,
        origin: Option<&Origin>,
        prefix: &str,
    ) -> bool {
        let usable = self.errors.is_empty();
        for (severity, texts) in [(Severity::Error, self.errors), (Severity::Warning, self.warnings)] {
            for text in texts {
                diagnostics.report(severity, index, origin, format!("{prefix}{text}"));
            }
        }
        usable
    }
}

impl Anchors {
    /// Reads the certificates in `places`, PEM files or directories of PEM files with any names, and the platform's trust store if
    /// `system` is set. Unusable certificates in the trust store are
    /// ignored without a message, because they are not part of the configuration.
    pub fn load_with_system(places: impl IntoIterator<Item = Place>, system: bool, report: &mut Report) -> Self {
        let mut certificates = Vec::new();
        for place in places {
            certificates.extend(read_certificates(&place, report));
        }
        if system && system_store_is_readable(report) {
            let store = rustls_native_certs::load_native_certs().certs;
            let usable = store
                .into_iter()
                .filter(|der| webpki::anchor_from_trusted_cert(der).is_ok());
            certificates.extend(usable.map(|der| (PathBuf::from("the platform's trust store"), der)));
        }
        Self::new(certificates, report)
    }

    /// Trusts `certificates`, each given with its file. Duplicates are removed.
    pub fn new(certificates: Vec<(PathBuf, CertificateDer<'static>)>, report: &mut Report) -> Self {
        let mut anchors = Self {
            list: Vec::new(),
            trust: Vec::new(),
            refused: Vec::new(),
            names: Arc::new([]),
            digest: [0; 32],
        };
        let mut seen = HashSet::new();
        for (file, der) in certificates {
            if seen.insert(der.to_vec()) {
                anchors.add(file, der, report);
            }
        }
        anchors.names = anchors.distinct_names();
        let mut context = digest::Context::new(&digest::SHA256);
        for anchor in &anchors.list {
            context.update(&(anchor.der.len() as u64).to_be_bytes());
            context.update(&anchor.der);
        }
        anchors.digest.copy_from_slice(context.finish().as_ref());
        anchors
    }

    fn add(&mut self, file: PathBuf, der: CertificateDer<'static>, report: &mut Report) {
        let certificate = match Certificate::parse(&der) {
            Ok(certificate) => certificate,
            Err(error) => {
                report
                    .errors
                    .push(format!("{}: a certificate cannot be read: {error}", file.display()));
                return;
            }
        };
        let validity = (certificate.not_before(), certificate.not_after());
        let may_issue = certificate.may_issue();
        let subject = certificate.subject();
        match webpki::anchor_from_trusted_cert(&der) {
            Ok(trust) => {
                self.trust.push(trust.to_owned());
                self.list.push(Anchor {
                    file,
                    validity,
                    may_issue,
                    der: der.clone(),
                });
            }
            Err(error) => {
                let text = format!(
                    "{}: {subject} cannot be trusted as a CA ({error:?}), and what it has issued will be refused: have \
                     it reissued with `openssl req -x509 -key ca.key -out ca.pem -days 3650 -addext \
                     basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign`",
                    file.display()
                );
                report.warnings.push(text.clone());
                self.refused.push(text);
            }
        }
    }

    /// The trust anchors for webpki.
    pub fn trust(&self) -> &[TrustAnchor<'static>] {
        &self.trust
    }

    /// The anchors.
    pub fn list(&self) -> &[Anchor] {
        &self.list
    }

    /// The certificates that were not accepted, and the reasons.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// The anchor for webpki's anchor `trust`.
    pub fn find(&self, trust: &TrustAnchor<'_>) -> Option<&Anchor> {
        let position = self.trust.iter().position(|own| std::ptr::eq(own, trust))?;
        self.list.get(position)
    }

    /// The anchors with the subject `name`: the content of a DER Name.
    pub fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a Anchor> {
        self.trust
            .iter()
            .zip(&self.list)
            .filter_map(move |(trust, anchor)| (trust.subject.as_ref() == name).then_some(anchor))
    }

    /// The anchor with the subject `name`: a DER Name.
    pub(crate) fn with_subject(&self, name: &[u8]) -> Option<&Anchor> {
        // webpki's anchors contain only the content.
        let is_same = |content: &[u8]| name.ends_with(content) && name.len() - content.len() <= 4;
        let found = self.trust.iter().position(|trust| is_same(trust.subject.as_ref()));
        found.and_then(|at| self.list.get(at))
    }

    /// The names that are sent to clients (RFC 8446 section 4.2.4), without duplicates.
    pub fn names(&self) -> &Arc<[DistinguishedName]> {
        &self.names
    }

    /// The error is why the names cannot be sent to clients.
    pub fn check_names(&self) -> Result<(), String> {
        let size: usize = self.names.iter().map(|name| name.as_ref().len() + 2).sum();
        match size > MAX_NAMES {
            true => Err(format!(
                "the names of {} CAs do not fit in a handshake: say which ones clients are to be told with \
                 TLSClientCANames, or none",
                self.names.len()
            )),
            false => Ok(()),
        }
    }

    fn distinct_names(&self) -> Arc<[DistinguishedName]> {
        let mut seen = HashSet::new();
        self.trust
            .iter()
            .filter(|anchor| seen.insert(anchor.subject.as_ref()))
            .map(|anchor| DistinguishedName::in_sequence(&anchor.subject))
            .collect()
    }

    /// A digest of all the certificates.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Whether the trust store from the environment variables can be opened; rustls-native-certs does not check this.
fn system_store_is_readable(report: &mut Report) -> bool {
    let Some(path) = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from) else {
        return true;
    };
    let Ok(metadata) = std::fs::metadata(&path) else {
        return true;
    };
    let regular = file_reading::is_regular(metadata.file_type());
    if let Err(error) = &regular {
        report.errors.push(format!(
            "{}: named as the platform's trust store by the environment variable SSL_CERT_FILE, cannot be read: {error}",
            path.display()
        ));
    }
    regular.is_ok()
}

fn read_certificates(place: &Place, report: &mut Report) -> Vec<(PathBuf, CertificateDer<'static>)> {
    let files = match place.files() {
        Ok(files) => files,
        Err(error) => {
            report.errors.push(error.to_string());
            return Vec::new();
        }
    };
    // Links by hash are made for certificates.
    let is_directory = place.hashed.is_none() && (files.len() != 1 || files[0] != place.path);
    let mut found = Vec::new();
    for file in files {
        let read = file_reading::read(&file).map_err(|error| error.to_string());
        let parsed = read.and_then(|content| {
            let bundle = pem::parse(&content).map_err(|error| error.about(&file))?;
            match bundle.certificates.is_empty() && !is_directory {
                true => Err(format!(
                    "{}: no certificate in this file: {}",
                    file.display(),
                    wrong_file::without_certificate(&file, &content)
                )),
                false => Ok(bundle),
            }
        });
        match parsed {
            // A directory may also contain other files.
            Ok(bundle) => found.extend(bundle.certificates.into_iter().map(|der| (file.clone(), der))),
            Err(why) => report.errors.push(why),
        }
    }
    if is_directory && found.is_empty() {
        report.errors.push(format!(
            "{}: no file in this directory has a certificate in PEM",
            place.path.display()
        ));
    }
    found
}
