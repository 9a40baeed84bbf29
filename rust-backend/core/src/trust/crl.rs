// SPDX-License-Identifier: Apache-2.0
//! A certificate revocation list (RFC 5280 section 5).

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateRevocationListDer, SubjectPublicKeyInfoDer};
use webpki::RawPublicKeyEntity;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::crypto::digest;
use crate::x509::pem::{self, PemError};
use crate::x509::{Certificate, distribution_point_names};

/// Why a revocation list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlError {
    /// The data is not the DER encoding of a revocation list.
    Malformed(String),
    /// The nextUpdate time is missing.
    NoNextUpdate,
    /// It is a delta CRL.
    Delta,
    /// It is an indirect CRL, or limited to some reasons or to kinds of certificates that TLS does not use.
    Partial(&'static str),
    /// It has an unknown critical extension.
    CriticalExtension(String),
    /// It is not signed by the CA that it names as issuer.
    NotSignedByIssuer,
}

impl fmt::Display for CrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(
                f,
                "it is not a well-formed revocation list ({why}): expected DER, or PEM blocks that begin with \
                 \"-----BEGIN X509 CRL-----\""
            ),
            Self::NoNextUpdate => {
                f.write_str("it has no nextUpdate, so the end of its validity is not known: issue it with `-crldays`")
            }
            Self::Delta => f.write_str(
                "it is a delta CRL, which has only what changed since the last complete one: get the complete one",
            ),
            Self::Partial(what) => write!(f, "it {what}: get the CA's complete CRL"),
            Self::CriticalExtension(oid) => write!(f, "it has a critical extension that is not known ({oid})"),
            Self::NotSignedByIssuer => f.write_str(
                "it is not signed by the CA that it names as issuer, or the CA's certificate does not allow cRLSign",
            ),
        }
    }
}

impl std::error::Error for CrlError {}

/// The certificates of the issuer that a list covers.
#[derive(Debug, Default)]
struct Coverage {
    only_leaves: bool,
    only_cas: bool,
    /// The names of the list's distribution point as text. Certificates that refer to none of them are not covered.
    points: Option<Vec<String>>,
}

/// A revocation list with a sorted index of its entries.
///
/// # Examples
///
/// ```
/// use std::path::Path;
///
/// use mod_tls_core::trust::crl::Crl;
/// use rcgen::{
///     BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod, KeyPair,
///     KeyUsagePurpose, RevokedCertParams, date_time_ymd,
/// };
///
/// let mut params = CertificateParams::default();
/// params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
/// params.key_usages = vec![KeyUsagePurpose::CrlSign];
/// let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
/// let revoked = RevokedCertParams {
///     serial_number: 5_u64.into(),
///     revocation_time: date_time_ymd(2026, 1, 1),
///     reason_code: None,
///     invalidity_date: None,
/// };
/// let list = CertificateRevocationListParams {
///     this_update: date_time_ymd(2026, 1, 1),
///     next_update: date_time_ymd(2026, 2, 1),
///     crl_number: 1_u64.into(),
///     issuing_distribution_point: None,
///     revoked_certs: vec![revoked],
///     key_identifier_method: KeyIdMethod::Sha256,
/// };
/// let crl = Crl::parse(Path::new("ca.crl"), list.signed_by(&ca).unwrap().into()).unwrap();
/// assert!(crl.has(&[5]) && !crl.has(&[6]));
/// ```
pub struct Crl {
    /// The file of the list.
    pub file: PathBuf,
    der: CertificateRevocationListDer<'static>,
    /// The content of the issuer's DER Name.
    issuer: Vec<u8>,
    this_update: i64,
    next_update: i64,
    coverage: Coverage,
    /// The positions of the serial numbers in `der`, without leading zeros, sorted by their bytes.
    serials: Vec<(u32, u8)>,
    signed: Range<usize>,
    signature: Range<usize>,
    /// Digests of the certificates with which the signature was checked, and the results.
    checked: Mutex<Vec<([u8; 32], bool)>>,
}

/// The maximum number of issuer certificates in `checked`. In practice there are only a few.
const REMEMBERED_ISSUERS: usize = 16;

/// Splits a PEM or DER file into its lists.
pub fn split(content: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, CrlError> {
    if content.first() == Some(&0x30) {
        return Ok(vec![content.to_vec().into()]);
    }
    if pem::is_utf16(content) {
        return Err(CrlError::Malformed(PemError::Utf16.to_string()));
    }
    pem::without_marks(content)
        .flat_map(CertificateRevocationListDer::pem_slice_iter)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CrlError::Malformed(PemError::from(error).to_string()))
}

impl Crl {
    /// Parses `der`, which was read from `file`.
    pub fn parse(file: &Path, der: CertificateRevocationListDer<'static>) -> Result<Self, CrlError> {
        let bytes: &[u8] = &der;
        let (rest, parsed) =
            CertificateRevocationList::from_der(bytes).map_err(|error| CrlError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CrlError::Malformed("there is data after it".to_owned()));
        }
        let coverage = coverage(&parsed)?;
        let next_update = parsed.next_update().ok_or(CrlError::NoNextUpdate)?.timestamp();
        let mut serials = Vec::with_capacity(parsed.iter_revoked_certificates().count());
        for entry in parsed.iter_revoked_certificates() {
            for extension in entry.extensions() {
                let is_known = matches!(
                    extension.parsed_extension(),
                    ParsedExtension::ReasonCode(_) | ParsedExtension::InvalidityDate(_)
                );
                if extension.critical && !is_known {
                    return Err(CrlError::CriticalExtension(extension.oid.to_id_string()));
                }
            }
            let serial = range_in(bytes, without_zeros(entry.raw_serial()));
            let len = u8::try_from(serial.len())
                .map_err(|_| CrlError::Malformed("a serial number is longer than 255 bytes".to_owned()))?;
            serials.push((serial.start as u32, len));
        }
        serials.sort_unstable_by(|one, two| serial_at(bytes, *one).cmp(serial_at(bytes, *two)));
        let issuer = content_of(parsed.issuer().as_raw());
        let (this_update, signed) = (
            parsed.last_update().timestamp(),
            range_in(bytes, parsed.tbs_cert_list.as_ref()),
        );
        let signature = range_in(bytes, &parsed.signature_value.data);
        Ok(Self {
            file: file.to_owned(),
            issuer,
            this_update,
            next_update,
            coverage,
            serials,
            signed,
            signature,
            checked: Mutex::default(),
            der,
        })
    }

    /// The content of the issuer's DER Name.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The thisUpdate time, in seconds since 1970.
    pub fn this_update(&self) -> i64 {
        self.this_update
    }

    /// The nextUpdate time, in seconds since 1970.
    pub fn next_update(&self) -> i64 {
        self.next_update
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.serials.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.serials.is_empty()
    }

    /// The DER encoding of the list.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the list covers `certificate`, which was issued by the list's issuer.
    pub fn covers(&self, certificate: &[u8], is_leaf: bool) -> bool {
        if self.coverage.only_leaves && !is_leaf || self.coverage.only_cas && is_leaf {
            return false;
        }
        let Some(points) = &self.coverage.points else {
            return true;
        };
        let Ok(certificate) = Certificate::parse(certificate) else {
            return false;
        };
        certificate
            .distribution_points()
            .iter()
            .any(|point| points.contains(point))
    }

    /// Whether the list contains the serial number `serial` (the content of the DER INTEGER).
    pub fn has(&self, serial: &[u8]) -> bool {
        let wanted = without_zeros(serial);
        self.serials
            .binary_search_by(|entry| serial_at(&self.der, *entry).cmp(wanted))
            .is_ok()
    }

    /// Whether the list is signed by the key of `issuer`, the DER encoding of a certificate that may sign lists. The
    /// result is stored, because the verification is slow for large lists.
    pub fn is_signed_by(&self, issuer: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let mut id = [0; 32];
        id.copy_from_slice(digest::digest(&digest::SHA256, issuer).as_ref());
        let known = |checked: &Vec<([u8; 32], bool)>| checked.iter().find(|entry| entry.0 == id).map(|entry| entry.1);
        if let Some(answer) = known(&self.checked.lock().unwrap_or_else(PoisonError::into_inner)) {
            return answer;
        }
        let answer = self.check_signature(issuer, algorithms);
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if known(&checked).is_none() {
            checked.truncate(REMEMBERED_ISSUERS - 1);
            checked.insert(0, (id, answer));
        }
        answer
    }

    fn check_signature(&self, issuer: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let Ok(certificate) = Certificate::parse(issuer) else {
            return false;
        };
        if !certificate.may_sign_crls() {
            return false;
        }
        let spki = SubjectPublicKeyInfoDer::from(certificate.spki_der());
        let Ok(key) = RawPublicKeyEntity::try_from(&spki) else {
            return false;
        };
        let (signed, signature) = (&self.der[self.signed.clone()], &self.der[self.signature.clone()]);
        // Any of the trusted algorithms is acceptable: only the holder of the key can create a valid signature.
        algorithms
            .all
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, signed, signature).is_ok())
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("file", &self.file)
            .field("entries", &self.serials.len())
            .finish_non_exhaustive()
    }
}

fn coverage(parsed: &CertificateRevocationList<'_>) -> Result<Coverage, CrlError> {
    const DELTA_CRL_INDICATOR: &str = "2.5.29.27";
    let mut coverage = Coverage::default();
    for extension in parsed.extensions() {
        let oid = extension.oid.to_id_string();
        if oid == DELTA_CRL_INDICATOR {
            return Err(CrlError::Delta);
        }
        match extension.parsed_extension() {
            ParsedExtension::IssuingDistributionPoint(point) => {
                if point.indirect_crl {
                    return Err(CrlError::Partial("lists certificates of other issuers (indirectCRL)"));
                }
                if point.only_contains_attribute_certs {
                    return Err(CrlError::Partial("lists attribute certificates only"));
                }
                if point.only_some_reasons.is_some() {
                    return Err(CrlError::Partial("lists revocations for some reasons only"));
                }
                coverage.only_leaves = point.only_contains_user_certs;
                coverage.only_cas = point.only_contains_ca_certs;
                if let Some(name) = &point.distribution_point {
                    coverage.points = Some(distribution_point_names(name));
                }
            }
            ParsedExtension::AuthorityKeyIdentifier(_) | ParsedExtension::CRLNumber(_) => {}
            ParsedExtension::ParseError { error } => return Err(CrlError::Malformed(error.to_string())),
            _ if extension.critical => return Err(CrlError::CriticalExtension(oid)),
            _ => {}
        }
    }
    Ok(coverage)
}

fn without_zeros(serial: &[u8]) -> &[u8] {
    let start = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
    &serial[start..]
}

fn serial_at(der: &[u8], (start, len): (u32, u8)) -> &[u8] {
    let start = start as usize;
    &der[start..start + usize::from(len)]
}

/// The range of `part` in `whole`.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start.min(whole.len())..(start + part.len()).min(whole.len())
}

/// The content of a DER value.
fn content_of(der: &[u8]) -> Vec<u8> {
    x509_parser::asn1_rs::Any::from_der(der).map_or_else(|_| Vec::new(), |(_, any)| any.data.to_vec())
}
