// SPDX-License-Identifier: Apache-2.0
//! The times of OCSP responses (RFC 6960). Only clients verify the responses.

use x509_parser::asn1_rs::{Any, FromDer, GeneralizedTime, Tag};

/// The elements of a constructed value.
fn elements(mut content: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut found = Vec::new();
    while !content.is_empty() {
        let (rest, element) = Any::from_der(content).ok()?;
        found.push(element);
        content = rest;
    }
    Some(found)
}

/// The elements of the value that `der` begins with.
fn parts(der: &[u8]) -> Option<Vec<Any<'_>>> {
    elements(Any::from_der(der).ok()?.1.data)
}

fn time(value: &Any<'_>) -> Option<i64> {
    let time = GeneralizedTime::try_from(value).ok()?;
    time.utc_datetime().ok().map(|time| time.unix_timestamp())
}

/// The thisUpdate and nextUpdate times of the first certificate in a response in DER, in seconds since 1970. None if it is no
/// successful response, or has no nextUpdate.
///
/// # Examples
///
/// ```
/// assert_eq!(mod_tls_core::x509::ocsp::validity(b"\x30\x03\x0a\x01\x06"), None, "unauthorized");
/// ```
pub fn validity(der: &[u8]) -> Option<(i64, i64)> {
    let response = parts(der)?;
    // [0] SEQUENCE { responseType, response OCTET STRING }
    let bytes = parts(response.get(1)?.data)?;
    let basic = parts(bytes.get(1)?.data)?;
    // version [0], responderID [1] or [2], producedAt, responses
    let data = elements(basic.first()?.data)?;
    let responses = data.iter().find(|element| element.tag() == Tag::Sequence)?;
    // certID, certStatus, thisUpdate, nextUpdate [0]
    let first = parts(responses.data)?;
    let [_, _, this_update, next_update, ..] = first.as_slice() else {
        return None;
    };
    let (_, next_update) = Any::from_der(next_update.data).ok()?;
    Some((time(this_update)?, time(&next_update)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tlv(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let len = u8::try_from(content.len()).expect("it is short");
        let length = if len < 128 { vec![len] } else { vec![0x81, len] };
        [vec![tag], length, content].concat()
    }

    fn response() -> Vec<u8> {
        let time = |text: &str| tlv(0x18, &[text.as_bytes()]);
        let next_update = tlv(0xa0, &[&time("20260201000000Z")]);
        let single = tlv(
            0x30,
            &[&tlv(0x30, &[]), &tlv(0x80, &[]), &time("20260131120000Z"), &next_update],
        );
        let responder = tlv(0xa2, &[&tlv(0x04, &[b"id"])]);
        let data = tlv(0x30, &[&responder, &time("20260131120001Z"), &tlv(0x30, &[&single])]);
        let basic = tlv(0x30, &[&data, &tlv(0x30, &[]), &tlv(0x03, &[b"\0"])]);
        let bytes = tlv(0x30, &[&tlv(0x06, &[b"\x2a"]), &tlv(0x04, &[&basic])]);
        tlv(0x30, &[&tlv(0x0a, &[b"\0"]), &tlv(0xa0, &[&bytes])])
    }

    #[test]
    fn times() {
        assert_eq!(validity(&response()), Some((1_769_860_800, 1_769_904_000)));
    }

    #[test]
    fn a_cut_response_has_none() {
        let der = response();
        assert!((0..der.len()).all(|len| validity(&der[..len]).is_none()));
    }

    proptest! {
        #[test]
        fn takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..90, byte: u8) {
            let _ = validity(&bytes);
            let mut der = response();
            der[at] = byte;
            let _ = validity(&der);
        }
    }
}
