// SPDX-License-Identifier: Apache-2.0
//! Requests (RFC 6960 section 4.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_cert::der::asn1::{Null, ObjectIdentifier, OctetString};
use x509_cert::der::{Any, Encode};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{OcspRequest, Request, TbsRequest, Version};

use super::{CertId, SHA1};
use crate::crypto;

/// The longest URL for a request by GET (RFC 5019 section 5).
const MAX_GET: usize = 255;

/// id-pkix-ocsp-nonce (RFC 6960 section 4.4.1).
pub(super) const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

/// A nonce of 32 bytes, the longest that all responders take (RFC 9654). The error says that there are no random numbers.
pub fn new_nonce() -> Result<[u8; 32], String> {
    let mut nonce = [0; 32];
    match crypto::fill_random(&mut nonce) {
        true => Ok(nonce),
        false => Err("the system provides no random numbers".to_owned()),
    }
}

/// A request about one certificate in DER. Empty if the serial number of the certificate is not well-formed.
pub fn request(id: &CertId, nonce: Option<&[u8]>) -> Vec<u8> {
    encode(id, nonce).unwrap_or_default()
}

fn encode(id: &CertId, nonce: Option<&[u8]>) -> Option<Vec<u8>> {
    let [name, key] = id.hashes(SHA1)?;
    let req_cert = x509_ocsp::CertId {
        hash_algorithm: AlgorithmIdentifierOwned {
            oid: SHA1,
            parameters: Some(Any::from(Null)),
        },
        issuer_name_hash: OctetString::new(name).ok()?,
        issuer_key_hash: OctetString::new(key).ok()?,
        serial_number: SerialNumber::new(&id.serial).ok()?,
    };
    let extensions = match nonce {
        Some(nonce) => Some(vec![extension(nonce)?]),
        None => None,
    };
    let request = OcspRequest {
        tbs_request: TbsRequest {
            version: Version::V1,
            requestor_name: None,
            request_list: vec![Request {
                req_cert,
                single_request_extensions: None,
            }],
            request_extensions: extensions,
        },
        optional_signature: None,
    };
    request.to_der().ok()
}

fn extension(nonce: &[u8]) -> Option<Extension> {
    let value = OctetString::new(nonce).ok()?.to_der().ok()?;
    Some(Extension {
        extn_id: NONCE,
        critical: false,
        extn_value: OctetString::new(value).ok()?,
    })
}

/// The URL by which `request` (DER) is sent to `responder` with GET, so that caches on the way can answer it. None if it is too
/// long.
pub fn get_url(responder: &str, request: &[u8]) -> Option<String> {
    let encoded: String = form_urlencoded::byte_serialize(STANDARD.encode(request).as_bytes()).collect();
    let separator = if responder.ends_with('/') { "" } else { "/" };
    let url = format!("{responder}{separator}{encoded}");
    (!request.is_empty() && url.len() <= MAX_GET && !responder.contains('?')).then_some(url)
}
