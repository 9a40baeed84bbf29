// SPDX-License-Identifier: Apache-2.0
//! What a certificate says about how to find out whether it is revoked.

use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};

use super::Certificate;

/// id-ad-ocsp (RFC 5280 section 4.2.2.1).
const ID_AD_OCSP: &str = "1.3.6.1.5.5.7.48.1";

/// id-pe-tlsfeature (RFC 7633).
const ID_PE_TLSFEATURE: &str = "1.3.6.1.5.5.7.1.24";

/// status_request in a SEQUENCE OF INTEGER.
const STATUS_REQUEST: &[u8] = &[0x02, 0x01, 0x05];

impl Certificate<'_> {
    /// The URLs of its OCSP responders, of http and https, in its authorityInfoAccess extension.
    pub fn ocsp_responders(&self) -> Vec<String> {
        let accesses = self
            .parsed
            .extensions()
            .iter()
            .filter_map(|one| match one.parsed_extension() {
                ParsedExtension::AuthorityInfoAccess(access) => Some(&access.accessdescs),
                _ => None,
            });
        let responders = accesses
            .flatten()
            .filter(|access| access.access_method.to_id_string() == ID_AD_OCSP);
        let urls = responders.filter_map(|access| match &access.access_location {
            GeneralName::URI(url) if is_http(url) => Some((*url).to_owned()),
            _ => None,
        });
        urls.collect()
    }

    /// Where revocation lists are that cover it: the URLs of http and https in its cRLDistributionPoints extension.
    pub fn crl_urls(&self) -> Vec<String> {
        let points = self
            .parsed
            .extensions()
            .iter()
            .filter_map(|one| match one.parsed_extension() {
                ParsedExtension::CRLDistributionPoints(points) => Some(points.iter()),
                _ => None,
            });
        let names = points.flatten().filter_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => Some(names),
            _ => None,
        });
        let urls = names.flatten().filter_map(|name| match name {
            GeneralName::URI(url) if is_http(url) => Some((*url).to_owned()),
            _ => None,
        });
        urls.collect()
    }

    /// Whether clients refuse it without a stapled OCSP response: it has the TLS feature status_request.
    pub fn must_staple(&self) -> bool {
        let mut extensions = self.parsed.extensions().iter();
        extensions.any(|extension| {
            extension.oid.to_id_string() == ID_PE_TLSFEATURE
                && extension
                    .value
                    .windows(STATUS_REQUEST.len())
                    .any(|part| part == STATUS_REQUEST)
        })
    }
}

/// Whether `url` is one of http or https.
pub fn is_http(url: &str) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}
