// SPDX-License-Identifier: Apache-2.0
//! The channel binding `tls-server-end-point` of a server certificate: RFC 5929 section 4.1.

use x509_parser::signature_algorithm::RsaSsaPssParams;

use super::Certificate;
use crate::crypto::digest;

const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";

/// The hash functions of signature algorithms; RSASSA-PSS parameters contain the OID of the hash function itself. MD5
/// and SHA-1 are replaced by SHA-256.
const HASHES: &[(&digest::Algorithm, &[&str])] = &[
    (
        &digest::SHA256,
        &[
            "1.2.840.113549.1.1.4",
            "1.2.840.113549.1.1.5",
            "1.2.840.113549.1.1.11",
            "1.2.840.10045.4.1",
            "1.2.840.10045.4.3.2",
            "1.3.14.3.2.26",
            "2.16.840.1.101.3.4.2.1",
        ],
    ),
    (
        &digest::SHA384,
        &["1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3", "2.16.840.1.101.3.4.2.2"],
    ),
    (
        &digest::SHA512,
        &["1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4", "2.16.840.1.101.3.4.2.3"],
    ),
];

impl Certificate<'_> {
    /// The digest of the certificate with the hash function of its signature. None if the signature algorithm has no
    /// single hash function, as for Ed25519.
    pub fn end_point_binding(&self) -> Option<Vec<u8>> {
        let algorithm = &self.parsed.signature_algorithm;
        let mut oid = algorithm.algorithm.to_id_string();
        if oid == RSASSA_PSS {
            let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
            oid = parameters.hash_algorithm_oid().to_id_string();
        }
        let (hash, _) = HASHES.iter().find(|(_, oids)| oids.contains(&oid.as_str()))?;
        Some(digest::digest(hash, self.der).as_ref().to_vec())
    }
}
