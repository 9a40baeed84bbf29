// SPDX-License-Identifier: Apache-2.0
//! Which messages a key signs: those that TLS signs, and no others. Whoever takes over a child process can use the keys for
//! handshakes, but cannot have them sign certificates, tokens or messages of other protocols.

use super::protocol::Purpose;

/// TLS 1.3 (RFC 8446 section 4.4.3): 64 spaces, the context, a zero byte, the hash of the transcript.
const PADDING: [u8; 64] = [0x20; 64];
const SERVER_CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const CLIENT_CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
const HASH_SIZES: [usize; 2] = [32, 48];

/// TLS 1.2 (RFC 8422 section 5.4): two randoms, and the ServerECDHParams.
const RANDOMS: usize = 64;
const NAMED_CURVE: u8 = 3;
/// The curves with the length of their points.
const CURVES: [(u16, usize); 4] = [(23, 65), (24, 97), (25, 133), (29, 32)];

/// Types of handshake messages (RFC 5246 section 7.4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CLIENT_KEY_EXCHANGE: u8 = 16;

/// Whether `message` is one that a key for this purpose signs in TLS 1.2 or 1.3.
pub fn is_permitted(purpose: Purpose, message: &[u8]) -> bool {
    match purpose {
        Purpose::Server => is_certificate_verify(message, SERVER_CONTEXT) || is_server_key_exchange(message),
        Purpose::Client => is_certificate_verify(message, CLIENT_CONTEXT) || is_transcript(message),
    }
}

fn is_certificate_verify(message: &[u8], context: &[u8]) -> bool {
    let hash = message
        .strip_prefix(&PADDING)
        .and_then(|rest| rest.strip_prefix(context));
    hash.is_some_and(|hash| HASH_SIZES.contains(&hash.len()))
}

fn is_server_key_exchange(message: &[u8]) -> bool {
    let Some([NAMED_CURVE, high, low, len, point @ ..]) = message.get(RANDOMS..) else {
        return false;
    };
    let curve = u16::from_be_bytes([*high, *low]);
    point.len() == usize::from(*len) && CURVES.contains(&(curve, point.len()))
}

/// TLS 1.2 (RFC 5246 section 7.4.8): all handshake messages from the ClientHello to the ClientKeyExchange.
fn is_transcript(message: &[u8]) -> bool {
    let mut kinds = Vec::new();
    let mut rest = message;
    while let Some(([kind, len @ ..], body)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes([0, len[0], len[1], len[2]]) as usize;
        let Some((_, next)) = body.split_at_checked(len) else {
            return false;
        };
        kinds.push(*kind);
        rest = next;
    }
    rest.is_empty() && kinds.starts_with(&[CLIENT_HELLO, SERVER_HELLO]) && kinds.last() == Some(&CLIENT_KEY_EXCHANGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(context: &[u8], hash: usize) -> Vec<u8> {
        [&PADDING[..], context, &vec![7; hash]].concat()
    }

    fn key_exchange(curve: u16, point: usize) -> Vec<u8> {
        let [high, low] = curve.to_be_bytes();
        [
            &[9; RANDOMS][..],
            &[NAMED_CURVE, high, low, point as u8],
            &vec![4; point],
        ]
        .concat()
    }

    fn transcript(kinds: &[u8]) -> Vec<u8> {
        kinds.iter().flat_map(|kind| [*kind, 0, 0, 2, 1, 1]).collect()
    }

    #[test]
    fn signs_handshakes() {
        for hash in HASH_SIZES {
            assert!(is_permitted(Purpose::Server, &verify(SERVER_CONTEXT, hash)));
            assert!(is_permitted(Purpose::Client, &verify(CLIENT_CONTEXT, hash)));
        }
        for (curve, point) in CURVES {
            assert!(is_permitted(Purpose::Server, &key_exchange(curve, point)));
        }
        let full = transcript(&[1, 2, 11, 12, 13, 14, 11, 16]);
        assert!(is_permitted(Purpose::Client, &full));
    }

    #[test]
    fn signs_nothing_else() {
        for wrong in [
            Vec::new(),
            verify(CLIENT_CONTEXT, 32),
            verify(SERVER_CONTEXT, 33),
            verify(SERVER_CONTEXT, 0),
            key_exchange(23, 64),
            key_exchange(22, 65),
            key_exchange(29, 32)[..99].to_vec(),
            [key_exchange(29, 32), vec![0]].concat(),
            transcript(&[1, 2, 16]),
            b"a certificate".to_vec(),
        ] {
            assert!(!is_permitted(Purpose::Server, &wrong), "{wrong:?}");
        }
        for wrong in [
            verify(SERVER_CONTEXT, 32),
            key_exchange(23, 65),
            transcript(&[2, 1, 16]),
            transcript(&[1, 2, 14]),
            [transcript(&[1, 2, 16]), vec![1]].concat(),
            transcript(&[1, 2, 16])[..17].to_vec(),
        ] {
            assert!(!is_permitted(Purpose::Client, &wrong), "{wrong:?}");
        }
    }
}
