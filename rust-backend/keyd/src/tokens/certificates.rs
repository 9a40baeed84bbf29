// SPDX-License-Identifier: Apache-2.0
//! Certificates in tokens.

use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::Session;
use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;
use mod_tls_core::x509::Certificate;
use rustls_pki_types::CertificateDer;

use super::failure::Failure;
use super::objects::{Wanted, bytes};
use super::token::Token;

/// Longer chains of issuers are a mistake.
const MAX_ISSUERS: usize = 10;

/// The certificate that `uri` names, followed by its issuers. `None` if it is not there.
pub(super) fn find(token: &Token, uri: &Pkcs11Uri) -> Result<Option<Vec<CertificateDer<'static>>>, Failure> {
    let wanted = Wanted::certificate(uri);
    let find = |session: &Session| {
        let Some(object) = wanted.find(session)? else {
            return Ok(None);
        };
        let der = bytes(session, object, AttributeType::Value)?.unwrap_or_default();
        Certificate::parse(&der)
            .map_err(|error| Failure::Other(format!("{wanted}: {error}: put the right one into the token")))?;
        let mut chain = vec![CertificateDer::from(der)];
        while chain.len() <= MAX_ISSUERS
            && let Some(issuer) = chain.last().and_then(|last| issuer_of(session, last).transpose())
        {
            chain.push(issuer?);
        }
        Ok(Some(chain))
    };
    token
        .run_public(|loan| find(&loan.session))
        .map_err(|failure| failure.of(&token.to_string()))
}

/// The error for a certificate that is not there.
pub(super) fn missing(token: &Token, uri: &Pkcs11Uri) -> Failure {
    let wanted = Wanted::certificate(uri);
    let missing = token.run_public(|loan| wanted.missing(&loan.session));
    missing.unwrap_or_else(|failure| failure).of(&token.to_string())
}

/// The certificate in the token that has issued `child`. Clients have the self-issued one at the end themselves
/// (RFC 8446 section 4.4.2), therefore it is left out.
fn issuer_of(session: &Session, child: &CertificateDer<'_>) -> Result<Option<CertificateDer<'static>>, Failure> {
    let Ok(child) = Certificate::parse(child) else {
        return Ok(None);
    };
    if child.issuer_der() == child.subject_der() {
        return Ok(None);
    }
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::Subject(child.issuer_der().to_vec()),
    ];
    for object in session.find_objects(&template)? {
        let der = bytes(session, object, AttributeType::Value)?.unwrap_or_default();
        if let Ok(issuer) = Certificate::parse(&der)
            && issuer.may_have_issued(&child)
            && issuer.issuer_der() != issuer.subject_der()
        {
            return Ok(Some(der.into()));
        }
    }
    Ok(None)
}
