// SPDX-License-Identifier: Apache-2.0
//! Private keys that are encrypted with a pass phrase: PKCS#8 (RFC 5958, with PBES2 of RFC 8018), and OpenSSL's older
//! format with the headers `Proc-Type` and `DEK-Info`.

use std::fmt;

use ::pem::Pem;
use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::SectionKind;
use zeroize::Zeroizing;

/// A decrypted key.
pub type SecretKey = Zeroizing<PrivateKeyDer<'static>>;

/// A private key that is encrypted with a pass phrase.
#[derive(Debug)]
pub enum EncryptedKey {
    /// A PKCS#8 EncryptedPrivateKeyInfo.
    Pkcs8(Vec<u8>),
    /// OpenSSL's older format.
    Traditional {
        /// The type of the encrypted key.
        kind: SectionKind,
        /// The cipher.
        algorithm: Algorithm,
        /// The initialisation vector. Its first eight bytes are also the salt.
        iv: Vec<u8>,
        /// The encrypted DER.
        content: Vec<u8>,
    },
}

/// The ciphers of OpenSSL's older format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-128-CBC.
    Aes128,
    /// AES-192-CBC.
    Aes192,
    /// AES-256-CBC.
    Aes256,
    /// DES-EDE3-CBC.
    TripleDes,
}

/// Why a key cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecryptError {
    /// The pass phrase is wrong.
    WrongPassPhrase,
    /// The encryption algorithm is not supported.
    Unsupported(String),
}

impl fmt::Display for DecryptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPassPhrase => f.write_str("the pass phrase is wrong"),
            Self::Unsupported(what) => write!(
                f,
                "the key is encrypted by {what}, which is not supported: encrypt it anew with `openssl pkcs8 -topk8 -v2 \
                 aes256`"
            ),
        }
    }
}

impl std::error::Error for DecryptError {}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "AES-128-CBC" => Some(Self::Aes128),
            "AES-192-CBC" => Some(Self::Aes192),
            "AES-256-CBC" => Some(Self::Aes256),
            "DES-EDE3-CBC" => Some(Self::TripleDes),
            _ => None,
        }
    }

    /// The key size of the cipher, in bytes.
    fn key_size(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 | Self::TripleDes => 24,
            Self::Aes256 => 32,
        }
    }

    fn decrypt(self, key: &[u8], iv: &[u8], content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let plain = match self {
            Self::Aes128 => decrypt_cbc::<cbc::Decryptor<Aes128>>(key, iv, content),
            Self::Aes192 => decrypt_cbc::<cbc::Decryptor<Aes192>>(key, iv, content),
            Self::Aes256 => decrypt_cbc::<cbc::Decryptor<Aes256>>(key, iv, content),
            Self::TripleDes => decrypt_cbc::<cbc::Decryptor<TdesEde3>>(key, iv, content),
        };
        plain.map(Zeroizing::new)
    }
}

fn decrypt_cbc<C: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let cipher = C::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(content).ok()
}

/// OpenSSL's default key derivation from a pass phrase: EVP_BytesToKey, with MD5 and one round.
fn key_of_pass_phrase(phrase: &[u8], salt: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(size + 16));
    let mut last = Zeroizing::new(Vec::new());
    while key.len() < size {
        let mut hash = Md5::new();
        hash.update(&*last);
        hash.update(phrase);
        hash.update(salt);
        *last = hash.finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(size);
    key
}

impl EncryptedKey {
    /// The first encrypted key in a PEM file, if there is one.
    pub fn find(text: &[u8]) -> Option<Result<Self, DecryptError>> {
        let blocks = ::pem::parse_many(text).ok()?;
        blocks.iter().find_map(Self::of_block)
    }

    fn of_block(block: &Pem) -> Option<Result<Self, DecryptError>> {
        let kind = match block.tag() {
            "ENCRYPTED PRIVATE KEY" => return Some(Ok(Self::Pkcs8(block.contents().to_vec()))),
            "RSA PRIVATE KEY" => SectionKind::RsaPrivateKey,
            "EC PRIVATE KEY" => SectionKind::EcPrivateKey,
            _ => return None,
        };
        let info = block.headers().get("DEK-Info")?;
        let (name, iv) = info.split_once(',')?;
        let Some(algorithm) = Algorithm::parse(name.trim()) else {
            return Some(Err(DecryptError::Unsupported(name.trim().to_owned())));
        };
        Some(Ok(Self::Traditional {
            kind,
            algorithm,
            iv: unhex(iv.trim())?,
            content: block.contents().to_vec(),
        }))
    }

    /// Decrypts the key with the pass phrase `phrase`.
    pub fn decrypt(&self, phrase: &[u8]) -> Result<SecretKey, DecryptError> {
        match self {
            Self::Pkcs8(der) => {
                let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice())
                    .map_err(|_| DecryptError::Unsupported("an algorithm that cannot be read".to_owned()))?;
                if info.encryption_algorithm.pbes2().is_none() {
                    return Err(DecryptError::Unsupported("PBES1 or PKCS#12's algorithms".to_owned()));
                }
                let plain = info.decrypt(phrase).map_err(|_| DecryptError::WrongPassPhrase)?;
                secret_key(SectionKind::PrivateKey, plain.as_bytes())
            }
            Self::Traditional {
                kind,
                algorithm,
                iv,
                content,
            } => {
                let salt = iv.get(..8).ok_or(DecryptError::WrongPassPhrase)?;
                let key = key_of_pass_phrase(phrase, salt, algorithm.key_size());
                let plain = algorithm
                    .decrypt(&key, iv, content)
                    .ok_or(DecryptError::WrongPassPhrase)?;
                secret_key(*kind, &plain)
            }
        }
    }
}

/// Padding alone does not detect all wrong pass phrases: the content must be exactly one SEQUENCE.
fn secret_key(kind: SectionKind, der: &[u8]) -> Result<SecretKey, DecryptError> {
    if !is_sequence(der) {
        return Err(DecryptError::WrongPassPhrase);
    }
    use rustls_pki_types::pem::PemObject;
    PrivateKeyDer::from_pem(kind, der.to_vec())
        .map(Zeroizing::new)
        .ok_or(DecryptError::WrongPassPhrase)
}

fn is_sequence(der: &[u8]) -> bool {
    let (length, content) = match der {
        [0x30, length @ 0..=0x7f, content @ ..] => (usize::from(*length), content),
        [0x30, 0x81, length, content @ ..] => (usize::from(*length), content),
        [0x30, 0x82, high, low, content @ ..] => (usize::from(*high) << 8 | usize::from(*low), content),
        _ => return false,
    };
    length == content.len()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_pass_phrases() {
        // openssl enc -aes-256-cbc -k secret -S 0102030405060708 -md md5 -P
        let key = key_of_pass_phrase(b"secret", &[1, 2, 3, 4, 5, 6, 7, 8], 32);
        assert_eq!(
            crate::x509::hex(&key),
            "c9e5a1bd216dbe1317e230cef48f38ee7f0e17ad64022144bccec4a1aa2879ab"
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(EncryptedKey::find(b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n").is_none());
        let unknown = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: IDEA-CBC,00\n\nAAAA\n\
            -----END RSA PRIVATE KEY-----\n";
        assert!(matches!(
            EncryptedKey::find(unknown),
            Some(Err(DecryptError::Unsupported(_)))
        ));
        for der in [&b""[..], b"0", b"\x30\x03\x01", b"\x31\x00", b"\x30\x82\x00"] {
            assert!(!is_sequence(der), "{der:?}");
        }
        let key = EncryptedKey::Pkcs8(vec![0x30, 0]);
        assert!(matches!(key.decrypt(b"x"), Err(DecryptError::Unsupported(_))));
        assert_eq!(unhex("0g"), None);
        assert_eq!(unhex("0"), None);
    }
}
