// SPDX-License-Identifier: Apache-2.0
//! Private keys that are encrypted for storage on another machine, such as a Redis server.
//!
//! A sealed key is a PEM block: a version, a nonce, and the key encrypted with AES-256-GCM by a sealing key. It is bound to the
//! name under which it is stored. The nonce is random, so one sealing key is good for 2^32 keys (NIST SP 800-38D section 8.3).

use std::fmt;

use pem::Pem;
use zeroize::Zeroizing;

use crate::crypto::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use crate::crypto::fill_random;

/// The label of the PEM block.
const LABEL: &str = "MOD_TLS SEALED KEY";

/// The first octet of a block.
const VERSION: u8 = 1;

/// The length of a sealing key.
const KEY_LEN: usize = 32;

/// Sealing keys: the first one seals, all of them open. Dropped keys are erased.
///
/// # Examples
///
/// ```
/// use mod_tls_core::keys::sealing::SealingKeys;
///
/// let keys = SealingKeys::parse(SealingKeys::generate().unwrap().as_bytes()).unwrap();
/// let sealed = keys.seal("www.example.org", b"a private key").unwrap();
/// assert_eq!(*keys.open("www.example.org", sealed.as_bytes()).unwrap(), b"a private key");
/// assert!(keys.open("www.example.com", sealed.as_bytes()).is_err());
/// ```
pub struct SealingKeys(Vec<LessSafeKey>);

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys")
    }
}

/// Why a key cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealingError {
    /// The text is no sealed key.
    NotSealed,
    /// It is of a newer version.
    Version(u8),
    /// It was sealed with another sealing key or for another name, or was changed.
    Refused,
    /// The system provides no random numbers.
    NoRandom,
}

impl fmt::Display for SealingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed => f.write_str("there is no sealed key: seal it with tls-certs"),
            Self::Version(version) => write!(f, "the key is sealed in version {version}, which a newer mod_tls has"),
            Self::Refused => {
                f.write_str("the key was sealed with another sealing key or for another name, or was changed")
            }
            Self::NoRandom => f.write_str("the system provides no random numbers"),
        }
    }
}

impl std::error::Error for SealingError {}

impl SealingKeys {
    /// A line with a new sealing key.
    pub fn generate() -> Result<Zeroizing<String>, SealingError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if !fill_random(key.as_mut()) {
            return Err(SealingError::NoRandom);
        }
        let digits = key.iter().flat_map(|octet| [octet >> 4, octet & 15]);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        // With enough room from the beginning: a string that grows leaves copies behind.
        let mut line = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
        line.extend(digits);
        line.push('\n');
        Ok(line)
    }

    /// Reads a file of sealing keys: a line of 64 hexadecimal digits for each, empty lines, and lines that begin with `#`.
    ///
    /// # Errors
    /// The text says what is wrong with which line, without its content.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (number, line) in text.split(|octet| *octet == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let key = key_of(line).ok_or_else(|| {
                let number = number + 1;
                format!(
                    "line {number} is not a sealing key of 64 hexadecimal digits, as tls-certs seal --new-key writes it"
                )
            })?;
            keys.push(LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("the key has 32 octets"),
            ));
        }
        match keys.is_empty() {
            true => Err("there is no sealing key: tls-certs seal --new-key writes one".to_owned()),
            false => Ok(Self(keys)),
        }
    }

    /// Seals `secret`, which will be stored under `name`.
    ///
    /// # Errors
    /// [`SealingError::NoRandom`]
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<String, SealingError> {
        let mut nonce = [0; NONCE_LEN];
        if !fill_random(&mut nonce) {
            return Err(SealingError::NoRandom);
        }
        let start = 1 + NONCE_LEN;
        let mut block = Vec::with_capacity(start + secret.len() + AES_256_GCM.tag_len());
        block.push(VERSION);
        block.extend_from_slice(&nonce);
        block.extend_from_slice(secret);
        let tag = self.0[0]
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), bound_to(name), &mut block[start..])
            .expect("keys are shorter than 64 GiB");
        block.extend_from_slice(tag.as_ref());
        Ok(pem::encode_config(
            &Pem::new(LABEL, block),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        ))
    }

    /// Opens a key that was sealed under `name`.
    ///
    /// # Errors
    /// All but [`SealingError::NoRandom`].
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        let block = pem::parse(sealed).ok().filter(|block| block.tag() == LABEL);
        let block = block.ok_or(SealingError::NotSealed)?;
        let (version, rest) = block.contents().split_first().ok_or(SealingError::NotSealed)?;
        if *version != VERSION {
            return Err(SealingError::Version(*version));
        }
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(SealingError::NotSealed)?;
        for key in &self.0 {
            let mut secret = Zeroizing::new(sealed.to_vec());
            let nonce = Nonce::assume_unique_for_key(*nonce);
            if let Ok(opened) = key.open_in_place(nonce, bound_to(name), secret.as_mut()) {
                let len = opened.len();
                secret.truncate(len);
                return Ok(secret);
            }
        }
        Err(SealingError::Refused)
    }
}

/// What a sealed key is bound to.
fn bound_to(name: &str) -> Aad<Vec<u8>> {
    Aad::from([b"mod_tls sealed key\0", name.as_bytes()].concat())
}

fn key_of(digits: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    if digits.len() != 2 * KEY_LEN {
        return None;
    }
    for (octet, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *octet = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(lines: &[&str]) -> SealingKeys {
        SealingKeys::parse(lines.concat().as_bytes()).unwrap()
    }

    #[test]
    fn rotation() {
        let [old, new] = [(); 2].map(|()| SealingKeys::generate().unwrap());
        let sealed = keys(&[&old]).seal("a.test", b"secret").unwrap();
        assert_eq!(
            *keys(&["# both\n\n", &new, &old])
                .open("a.test", sealed.as_bytes())
                .unwrap(),
            b"secret"
        );
        assert_eq!(
            keys(&[&new]).open("a.test", sealed.as_bytes()),
            Err(SealingError::Refused)
        );
        let sealed = keys(&[&new, &old]).seal("a.test", b"secret").unwrap();
        assert_eq!(
            keys(&[&old]).open("a.test", sealed.as_bytes()),
            Err(SealingError::Refused)
        );
    }

    #[test]
    fn changed_keys_are_refused() {
        let keys = keys(&[&SealingKeys::generate().unwrap()]);
        let sealed = keys.seal("a.test", b"").unwrap();
        assert_eq!(keys.open("b.test", sealed.as_bytes()), Err(SealingError::Refused));
        let block = pem::parse(&sealed).unwrap();
        for at in 1..block.contents().len() {
            let mut changed = block.contents().to_vec();
            changed[at] ^= 1;
            let text = pem::encode(&Pem::new(LABEL, changed));
            assert_eq!(keys.open("a.test", text.as_bytes()), Err(SealingError::Refused));
        }
        for len in 0..block.contents().len() {
            assert!(
                keys.open(
                    "a.test",
                    pem::encode(&Pem::new(LABEL, &block.contents()[..len])).as_bytes()
                )
                .is_err()
            );
        }
        let newer = pem::encode(&Pem::new(LABEL, vec![2; 50]));
        assert_eq!(keys.open("a.test", newer.as_bytes()), Err(SealingError::Version(2)));
        for other in [&b""[..], b"\xff", sealed.replace("SEALED", "OTHER").as_bytes()] {
            assert_eq!(keys.open("a.test", other), Err(SealingError::NotSealed));
        }
    }

    #[test]
    fn files_of_sealing_keys() {
        let error = |text: &[u8]| SealingKeys::parse(text).unwrap_err();
        assert!(error(b"# nothing\n").contains("no sealing key"));
        let wrong = "0123".repeat(16).replace('3', "g");
        assert!(error(format!("\n{wrong}\n").as_bytes()).starts_with("line 2 is not a sealing key"));
        assert!(!error(wrong.as_bytes()).contains(&wrong));
        assert!(error("00".repeat(31).as_bytes()).starts_with("line 1"));
        assert!(SealingKeys::parse("aB".repeat(32).as_bytes()).is_ok());
    }
}
