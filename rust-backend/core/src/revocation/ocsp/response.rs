// SPDX-License-Identifier: Apache-2.0
//! Responses (RFC 6960 section 4.2), and whether they can be believed.

use std::fmt;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, RawPublicKeyEntity, anchor_from_trusted_cert};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_ocsp::{CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus, ResponseData, SingleResponse};
use x509_parser::asn1_rs::{Any, BitString, FromDer};

use super::CertId;
use super::request::NONCE;
use crate::crypto::verification_algorithms;
use crate::x509::Certificate;

/// The longest response that is read, in bytes. With the certificate of a responder, they have about 2,000.
pub const MAX_RESPONSE: usize = 64 * 1024;

/// How old a response without nextUpdate may be, in seconds. It says that there may be a newer one at any time.
const WITHOUT_NEXT_UPDATE: i64 = 86_400;

/// id-kp-OCSPSigning (RFC 6960 section 4.2.2.2), the content of the OID.
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

/// id-pkix-ocsp-basic.
const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";

/// The status of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when, in seconds since 1970.
        at: i64,
    },
    /// The responder does not know it.
    Unknown,
}

/// What a responder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: Status,
    /// When that was known to be so, in seconds since 1970.
    pub this_update: i64,
    /// When there will be a newer answer; none if there may be one at any time.
    pub next_update: Option<i64>,
}

impl Answer {
    /// Until when the answer can be used if it may be `max_age` seconds old, in seconds since 1970.
    pub fn usable_until(&self, max_age: Option<u32>) -> i64 {
        let by_age = max_age
            .map(i64::from)
            .or_else(|| self.next_update.is_none().then_some(WITHOUT_NEXT_UPDATE));
        let by_age = by_age.map_or(i64::MAX, |age| self.this_update.saturating_add(age));
        by_age.min(self.next_update.unwrap_or(i64::MAX))
    }
}

/// What a response is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Checks<'a> {
    /// The issuer's certificate in DER.
    pub issuer: &'a [u8],
    /// Certificates in DER whose keys may sign, too.
    pub responders: &'a [&'a [u8]],
    /// The nonce of the request, which the response has to repeat.
    pub nonce: Option<&'a [u8]>,
    /// How much the clocks may differ, in seconds.
    pub skew: i64,
    /// How old the response may be, in seconds.
    pub max_age: Option<u32>,
    /// Whether the signature is not verified.
    pub no_verify: bool,
    /// The time, in seconds since 1970.
    pub now: i64,
}

/// Why a response cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OcspError {
    /// It is not an OCSP response.
    Malformed,
    /// The responder has not answered the question.
    Unsuccessful(&'static str),
    /// It is about another certificate.
    OtherCertificate,
    /// It is not signed by the issuer, nor by somebody whom the issuer has appointed.
    NotSigned,
    /// It does not have the nonce of the request.
    Nonce,
    /// It begins to be valid in the future.
    Future,
    /// It is out of date.
    Stale,
    /// It has a critical extension that is not known.
    CriticalExtension(String),
}

impl fmt::Display for OcspError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the answer is not an OCSP response"),
            Self::Unsuccessful(status) => write!(f, "the OCSP responder answers {status}"),
            Self::OtherCertificate => f.write_str("the OCSP response is about another certificate"),
            Self::NotSigned => f.write_str(
                "the OCSP response is not signed by the certificate's issuer, nor with a valid certificate for OCSP signing that \
                 the issuer has issued",
            ),
            Self::Nonce => f.write_str("the OCSP response does not have the nonce of the request"),
            Self::Future => {
                f.write_str("the OCSP response is not valid yet (are the clocks of this machine and of the responder right?)")
            }
            Self::Stale => f.write_str("the OCSP response is out of date"),
            Self::CriticalExtension(oid) => {
                write!(f, "the OCSP response has a critical extension that is not known ({oid})")
            }
        }
    }
}

impl std::error::Error for OcspError {}

/// The parts of a BasicOCSPResponse, as they came: a signature is over the bytes.
struct Basic<'a> {
    /// The responseData.
    signed: &'a [u8],
    signature: Vec<u8>,
    certificates: Vec<&'a [u8]>,
}

/// The encoding of the first value in `input`, and what follows it.
fn first(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, _) = Any::from_der(input).ok()?;
    Some((&input[..input.len() - rest.len()], rest))
}

impl<'a> Basic<'a> {
    fn parse(der: &'a [u8]) -> Option<Self> {
        let (rest, outer) = Any::from_der(der).ok()?;
        let content = outer.data;
        let (signed, after) = first(content)?;
        let (_, after) = first(after)?;
        let (after, signature) = BitString::from_der(after).ok()?;
        let mut certificates = Vec::new();
        if !after.is_empty() {
            // [0] EXPLICIT SEQUENCE OF Certificate
            let (_, explicit) = Any::from_der(after).ok()?;
            let (_, list) = Any::from_der(explicit.data).ok()?;
            let mut list = list.data;
            while !list.is_empty() {
                let (certificate, rest) = first(list)?;
                certificates.push(certificate);
                list = rest;
            }
        }
        rest.is_empty().then_some(Self {
            signed,
            signature: signature.data.into_owned(),
            certificates,
        })
    }

    /// Whether it is signed with the key of a certificate in DER.
    fn is_signed_with(&self, certificate: &[u8]) -> bool {
        let Ok(certificate) = Certificate::parse(certificate) else {
            return false;
        };
        let spki = SubjectPublicKeyInfoDer::from(certificate.spki_der());
        let Ok(key) = RawPublicKeyEntity::try_from(&spki) else {
            return false;
        };
        // Any of the trusted algorithms will do: only the holder of the key can make a signature.
        verification_algorithms()
            .all
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, self.signed, &self.signature).is_ok())
    }
}

/// Whether a responder has answered the question, be the answer right or wrong.
pub fn is_successful(der: &[u8]) -> bool {
    basic_of(der).is_ok()
}

/// The BasicOCSPResponse in a response.
fn basic_of(der: &[u8]) -> Result<Vec<u8>, OcspError> {
    let response = OcspResponse::from_der(der).map_err(|_| OcspError::Malformed)?;
    let status = match response.response_status {
        OcspResponseStatus::Successful => {
            let bytes = response.response_bytes.ok_or(OcspError::Malformed)?;
            return match bytes.response_type.to_string() == BASIC {
                true => Ok(bytes.response.into_bytes()),
                false => Err(OcspError::Malformed),
            };
        }
        OcspResponseStatus::MalformedRequest => "malformedRequest",
        OcspResponseStatus::InternalError => "internalError",
        OcspResponseStatus::TryLater => "tryLater",
        OcspResponseStatus::SigRequired => "sigRequired",
        OcspResponseStatus::Unauthorized => "unauthorized",
    };
    Err(OcspError::Unsuccessful(status))
}

/// What the response `der` says about the certificate `id`, if it can be believed.
pub fn verify(der: &[u8], id: &CertId, checks: &Checks<'_>) -> Result<Answer, OcspError> {
    let bytes = basic_of(der)?;
    let basic = Basic::parse(&bytes).ok_or(OcspError::Malformed)?;
    if !checks.no_verify && !is_authentic(&basic, checks) {
        return Err(OcspError::NotSigned);
    }
    let data = ResponseData::from_der(basic.signed).map_err(|_| OcspError::Malformed)?;
    if let Some(nonce) = checks.nonce {
        let found = data.nonce();
        if found.is_none_or(|found| found.0.as_bytes() != nonce) {
            return Err(OcspError::Nonce);
        }
    }
    let single = data.responses.iter().find(|single| is_about(single, id));
    let single = single.ok_or(OcspError::OtherCertificate)?;
    let extensions = data
        .response_extensions
        .iter()
        .chain(&single.single_extensions)
        .flatten();
    check_extensions(extensions)?;
    let answer = Answer {
        status: match single.cert_status {
            CertStatus::Good(_) => Status::Good,
            CertStatus::Revoked(info) => Status::Revoked {
                at: seconds(&info.revocation_time),
            },
            CertStatus::Unknown(_) => Status::Unknown,
        },
        this_update: seconds(&single.this_update),
        next_update: single.next_update.as_ref().map(seconds),
    };
    if answer.this_update > checks.now + checks.skew {
        return Err(OcspError::Future);
    }
    let is_inverted = answer.next_update.is_some_and(|next| next < answer.this_update);
    if is_inverted || answer.usable_until(checks.max_age).saturating_add(checks.skew) < checks.now {
        return Err(OcspError::Stale);
    }
    Ok(answer)
}

fn seconds(time: &OcspGeneralizedTime) -> i64 {
    time.0.to_unix_duration().as_secs().cast_signed()
}

fn check_extensions<'a>(mut extensions: impl Iterator<Item = &'a Extension>) -> Result<(), OcspError> {
    match extensions.find(|extension| extension.critical && extension.extn_id != NONCE) {
        Some(unknown) => Err(OcspError::CriticalExtension(unknown.extn_id.to_string())),
        None => Ok(()),
    }
}

/// Whether a single response is about the certificate.
fn is_about(single: &SingleResponse, id: &CertId) -> bool {
    let found = &single.cert_id;
    let Some([name, key]) = id.hashes(found.hash_algorithm.oid) else {
        return false;
    };
    let is_serial = found.serial_number.to_der().is_ok_and(|der| {
        let content = Any::from_der(&der).map(|(_, any)| any.data.to_vec());
        content.is_ok_and(|content| content == id.serial)
    });
    is_serial && found.issuer_name_hash.as_bytes() == name && found.issuer_key_hash.as_bytes() == key
}

/// Whether the issuer has signed the response, or somebody who may do so (RFC 6960 section 4.2.2.2).
fn is_authentic(basic: &Basic<'_>, checks: &Checks<'_>) -> bool {
    let appointed = basic.certificates.iter();
    basic.is_signed_with(checks.issuer)
        || checks
            .responders
            .iter()
            .any(|certificate| basic.is_signed_with(certificate))
        || appointed
            .filter(|certificate| is_appointed(certificate, checks))
            .any(|certificate| basic.is_signed_with(certificate))
}

/// Whether the issuer itself has issued a certificate for OCSP signing, which is valid now.
fn is_appointed(certificate: &[u8], checks: &Checks<'_>) -> bool {
    let (certificate, issuer) = (CertificateDer::from(certificate), CertificateDer::from(checks.issuer));
    let (Ok(end_entity), Ok(anchor)) = (EndEntityCert::try_from(&certificate), anchor_from_trusted_cert(&issuer))
    else {
        return false;
    };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(checks.now).unwrap_or(0)));
    let usage = KeyUsage::required(OCSP_SIGNING);
    end_entity
        .verify_for_usage(verification_algorithms().all, &[anchor], &[], now, usage, None, None)
        .is_ok()
}
