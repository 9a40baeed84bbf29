// SPDX-License-Identifier: Apache-2.0
//! The relevant contents of a ClientHello (RFC 8446 section 4.1.2).

use rustls::server::ClientHello;
use rustls_pki_types::DnsName;

use crate::info::offer::{Offer, OfferParts};

/// The contents of a ClientHello that select the site and its configuration.
#[derive(Debug, Default)]
pub struct Hello {
    /// The server name, in lower case.
    pub sni: Option<Box<str>>,
    /// The protocols offered by ALPN, most preferred first.
    pub alpn: Vec<Box<[u8]>>,
    /// The number of tickets for the client, if it does not depend on the configuration alone.
    pub(crate) tickets: Option<usize>,
    /// Whether the client offers the extended master secret (RFC 7627).
    pub(crate) extended_master_secret: bool,
    /// Whether early data follows (RFC 8446 section 4.2.10).
    pub(crate) early_data: bool,
    /// What the client offers. None if the ClientHello cannot be parsed.
    pub(crate) offer: Option<Offer>,
}

/// The number of tickets for a client that has resumed a session, as with OpenSSL.
const AFTER_RESUMPTION: usize = 1;

/// What rustls does not report, or not if it refuses the ClientHello.
#[derive(Debug, Default)]
struct Extensions<'a> {
    server_name: Option<&'a [u8]>,
    offer: OfferParts<'a>,
    /// RFC 9149: the number of requested tickets after a full handshake, and after a resumption.
    ticket_request: Option<(u8, u8)>,
    /// Whether a session is offered for resumption (RFC 8446 section 4.2.11).
    pre_shared_key: bool,
    extended_master_secret: bool,
    early_data: bool,
}

impl Hello {
    /// Parses `hello`, which was received as the records `raw`.
    pub(crate) fn new(hello: &ClientHello<'_>, raw: &[u8]) -> Self {
        let message = handshake_bytes(raw);
        let found = Extensions::find(&message);
        let offer = found.as_ref().and_then(|found| Offer::new(&found.offer));
        let extensions = found.unwrap_or_default();
        Self {
            sni: hello.server_name().map(|name| name.to_ascii_lowercase().into()),
            alpn: hello
                .alpn()
                .map(|protocols| protocols.map(Box::from).collect())
                .unwrap_or_default(),
            tickets: match (extensions.ticket_request, extensions.pre_shared_key) {
                (Some((_, resumed)), true) => Some(resumed.into()),
                (Some((new, _)), false) => Some(new.into()),
                (None, true) => Some(AFTER_RESUMPTION),
                (None, false) => None,
            },
            extended_master_secret: extensions.extended_master_secret,
            early_data: extensions.early_data,
            offer,
        }
    }

    /// What can be said about a ClientHello that rustls refuses, which was received as the records `raw`.
    pub(crate) fn of_refused(raw: &[u8]) -> Self {
        let message = handshake_bytes(raw);
        let Some(found) = Extensions::find(&message) else {
            return Self::default();
        };
        let name = found.server_name.and_then(|name| DnsName::try_from(name).ok());
        Self {
            sni: name.map(|name| name.to_lowercase_owned().as_ref().into()),
            offer: Offer::new(&found.offer),
            ..Self::default()
        }
    }
}

/// The handshake messages in `records`. A message may be split over several records (RFC 8446 section 5.1).
fn handshake_bytes(mut records: &[u8]) -> Vec<u8> {
    const HANDSHAKE: u8 = 22;
    let mut bytes = Vec::with_capacity(records.len());
    while let Some(([HANDSHAKE, _, _, high, low], rest)) = records.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        bytes.extend_from_slice(&rest[..len]);
        records = &rest[len..];
    }
    bytes
}

impl<'a> Extensions<'a> {
    /// Parses a ClientHello. None if it is malformed; rustls reports the error.
    fn find(message: &'a [u8]) -> Option<Self> {
        const CLIENT_HELLO: u8 = 1;
        const RANDOM: usize = 32;
        let ([CLIENT_HELLO, length @ ..], body) = message.split_first_chunk::<4>()? else {
            return None;
        };
        let [a, b, c] = *length;
        let mut body = body.get(..u32::from_be_bytes([0, a, b, c]) as usize)?;
        let (legacy_version, after) = body.split_first_chunk()?;
        body = after.get(RANDOM..)?;
        let mut found = Self::default();
        found.offer.legacy_version = u16::from_be_bytes(*legacy_version);
        take_vector::<1>(&mut body)?; // legacy_session_id
        found.offer.suites = take_vector::<2>(&mut body)?;
        take_vector::<1>(&mut body)?; // legacy_compression_methods
        if body.is_empty() {
            // Extensions are optional before TLS 1.3.
            return Some(found);
        }
        let mut extensions = take_vector::<2>(&mut body)?;
        while let Some((kind, rest)) = extensions.split_first_chunk() {
            extensions = rest;
            let content = take_vector::<2>(&mut extensions)?;
            let kind = u16::from_be_bytes(*kind);
            found.offer.extensions.push(kind);
            match (kind, content) {
                // A list of names with a type, of which there is only one: host_name.
                (0, [_, _, 0, name @ ..]) => found.server_name = whole_vector::<2>(name),
                (10, list) => found.offer.groups = whole_vector::<2>(list).unwrap_or_default(),
                (13, list) => found.offer.schemes = whole_vector::<2>(list).unwrap_or_default(),
                (16, [_, _, protocols @ ..]) => {
                    let mut protocols = protocols;
                    found.offer.alpn = take_vector::<1>(&mut protocols).unwrap_or_default();
                }
                (23, []) => found.extended_master_secret = true,
                (41, _) => found.pre_shared_key = true,
                (42, []) => found.early_data = true,
                (43, list) => found.offer.versions = whole_vector::<1>(list).unwrap_or_default(),
                (58, [new, resumed]) => found.ticket_request = Some((*new, *resumed)),
                _ => {}
            }
        }
        Some(found)
    }
}

/// Removes a vector (RFC 8446 section 3.4) with a length field of `N` bytes from the front of `data`.
fn take_vector<'a, const N: usize>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = data.split_first_chunk::<N>()?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (content, rest) = rest.split_at_checked(length)?;
    *data = rest;
    Some(content)
}

/// The content of a vector that is all of `data`.
fn whole_vector<const N: usize>(mut data: &[u8]) -> Option<&[u8]> {
    take_vector::<N>(&mut data).filter(|_| data.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::info::ja4::ja4;

    fn client_hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let extensions: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, content)| {
                let length = (content.len() as u16).to_be_bytes();
                [&kind.to_be_bytes(), &length, *content].concat()
            })
            .collect();
        let length = (extensions.len() as u16).to_be_bytes();
        let body = [
            &[3, 3][..],
            &[7; 32],
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &length,
            &extensions,
        ]
        .concat();
        [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |part: &[u8]| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat();
        message.chunks(size).flat_map(record).collect()
    }

    #[test]
    fn finds_extensions_however_they_arrive() {
        let message = client_hello(&[(0, b"\0\0"), (58, &[3, 1]), (23, b""), (42, b""), (41, b"psk")]);
        for size in [1, 5, 40, 16_384] {
            let bytes = handshake_bytes(&records(&message, size));
            let found = Extensions::find(&bytes).unwrap();
            assert_eq!(found.ticket_request, Some((3, 1)));
            assert!(found.pre_shared_key && found.extended_master_secret && found.early_data);
        }
        let plain = client_hello(&[(58, &[3, 1, 9])]);
        let found = Extensions::find(&plain).unwrap();
        assert_eq!(found.ticket_request, None);
        assert!(!found.pre_shared_key && !found.extended_master_secret && !found.early_data);
    }

    #[test]
    fn what_is_said_about_refused_ones() {
        let message = client_hello(&[
            (0, b"\0\x0a\0\0\x07A.teST."),
            (0x0a, b"\0\x02\0\x1d"),
            (0x0d, b"\0\x02\x04\x03"),
            (0x10, b"\0\x03\x02h2"),
            (0x2b, b"\x02\x03\x04"),
        ]);
        let hello = Hello::of_refused(&records(&message, 9));
        assert_eq!(hello.sni.as_deref(), Some("a.test."));
        let offer = hello.offer.unwrap();
        assert_eq!(
            (offer.suites(), offer.groups(), offer.schemes()),
            (&[0x1301][..], &[29][..], &[0x0403][..])
        );
        assert_eq!((offer.versions(), offer.alpn()), (vec![0x0304], Some((b'h', b'2'))));
        assert_eq!(offer.extensions(), [0, 10, 13, 16, 43]);
        // A name that would begin a new line, and an empty list.
        let hello = Hello::of_refused(&records(&client_hello(&[(0, b"\0\x06\0\0\x03a\nb"), (43, b"")]), 99));
        assert_eq!(hello.sni, None);
        assert_eq!(hello.offer.unwrap().versions(), [0x0303]);
        assert!(Hello::of_refused(b"GET / HTTP/1.1").offer.is_none());
    }

    #[test]
    fn a_cut_message_has_none() {
        let message = client_hello(&[(58, &[3, 1]), (23, b"")]);
        for len in 0..message.len() {
            assert!(Extensions::find(&message[..len]).is_none(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::of_refused(&bytes);
            let message = [&[1, 0, 0][..], &bytes].concat();
            let offer = Extensions::find(&message).and_then(|found| Offer::new(&found.offer));
            let _ = offer.map(|offer| (ja4(&offer), offer.full()));
        }
    }
}
