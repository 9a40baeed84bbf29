// SPDX-License-Identifier: Apache-2.0
//! The relevant contents of a ClientHello (RFC 8446 section 4.1.2).

use rustls::server::ClientHello;

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
}

/// The number of tickets for a client that has resumed a session, as with OpenSSL.
const AFTER_RESUMPTION: usize = 1;

/// Extensions that rustls does not report.
#[derive(Debug, Default, PartialEq, Eq)]
struct Extensions {
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
        let extensions = Extensions::find(&handshake_bytes(raw)).unwrap_or_default();
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

impl Extensions {
    /// Parses a ClientHello. None if it is malformed; rustls reports the error.
    fn find(message: &[u8]) -> Option<Self> {
        const CLIENT_HELLO: u8 = 1;
        const VERSION_AND_RANDOM: usize = 2 + 32;
        let ([CLIENT_HELLO, length @ ..], body) = message.split_first_chunk::<4>()? else {
            return None;
        };
        let [a, b, c] = *length;
        let mut body = body.get(..u32::from_be_bytes([0, a, b, c]) as usize)?;
        body = body.get(VERSION_AND_RANDOM..)?;
        take_vector::<1>(&mut body)?; // legacy_session_id
        take_vector::<2>(&mut body)?; // cipher_suites
        take_vector::<1>(&mut body)?; // legacy_compression_methods
        let mut extensions = take_vector::<2>(&mut body)?;
        let mut found = Self::default();
        while let Some((kind, rest)) = extensions.split_first_chunk() {
            extensions = rest;
            let content = take_vector::<2>(&mut extensions)?;
            match (u16::from_be_bytes(*kind), content) {
                (23, []) => found.extended_master_secret = true,
                (41, _) => found.pre_shared_key = true,
                (42, []) => found.early_data = true,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        let expected = Extensions {
            ticket_request: Some((3, 1)),
            pre_shared_key: true,
            extended_master_secret: true,
            early_data: true,
        };
        for size in [1, 5, 40, 16_384] {
            let found = Extensions::find(&handshake_bytes(&records(&message, size)));
            assert_eq!(found.as_ref(), Some(&expected));
        }
        let plain = client_hello(&[(58, &[3, 1, 9])]);
        assert_eq!(Extensions::find(&plain), Some(Extensions::default()));
    }

    #[test]
    fn a_cut_message_has_none() {
        let message = client_hello(&[(58, &[3, 1]), (23, b"")]);
        for len in 0..message.len() {
            assert_eq!(Extensions::find(&message[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Extensions::find(&handshake_bytes(&bytes));
            let _ = Extensions::find(&[&[1, 0, 0][..], &bytes].concat());
        }
    }
}
