// SPDX-License-Identifier: Apache-2.0
//! Hash functions, for keys whose owner signs digests: tokens.

use super::digest;

/// A hash function of FIPS 180-4 that TLS signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The digest of `data`.
    pub fn of(self, data: &[u8]) -> impl AsRef<[u8]> + use<> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, data)
    }

    /// The length of a digest, in bytes.
    pub fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            assert_eq!(hash.of(b"abc").as_ref().len(), hash.length());
        }
        assert_eq!(Hash::Sha256.of(b"abc").as_ref()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
