// SPDX-License-Identifier: Apache-2.0
//! How certificates are stored in a Redis server: a hash for each name, and messages about names that were written.

/// The channel of the messages, each of which is a name.
pub const CHANNEL: &str = "mod_tls:changed";

/// The fields of a hash: the certificate with its chain, as PEM; the private key, [sealed](super::sealing); and, in place of both,
/// that the certificate was removed by intention.
pub const CERTIFICATE: &str = "certificate";
/// See [`CERTIFICATE`].
pub const KEY: &str = "key";
/// See [`CERTIFICATE`].
pub const REMOVED: &str = "removed";

/// The key of the hash for a name, which may begin with `*.`.
pub fn key_of(name: &str) -> String {
    format!("mod_tls:certificate:{name}")
}
