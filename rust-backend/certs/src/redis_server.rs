// SPDX-License-Identifier: Apache-2.0
//! A Redis server in which certificates are stored: `TLSCertificateStore redis://...`.

use std::fs;
use std::time::Duration;

use mod_tls_core::crypto;
use mod_tls_core::keys::redis_names::{CERTIFICATE, CHANNEL, KEY, REMOVED, key_of};
use redis::{Client, Connection, RedisError, TlsCertificates};

use crate::command_line::Server;

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How long it is remembered that a certificate was removed, in seconds: as long as a machine may be cut off and still learn of it.
const REMEMBERED_FOR: i64 = 7 * 24 * 60 * 60;

/// A connection to the server.
pub(crate) struct RedisServer {
    connection: Connection,
    name: String,
}

impl RedisServer {
    /// Connects. The error names the server.
    pub(crate) fn connect(server: &Server) -> Result<Self, String> {
        crypto::install_provider();
        let url = server.store.as_str();
        let ca = server
            .store_ca
            .as_ref()
            .map(|path| fs::read(path).map_err(|error| format!("{}: {error}", path.display())));
        let client = match ca.transpose()? {
            Some(ca) => Client::build_with_tls(
                url,
                TlsCertificates {
                    client_tls: None,
                    root_cert: Some(ca),
                },
            ),
            None => Client::open(url),
        };
        let client = client.map_err(|error| format!("--store: {error}"))?;
        let name = client.get_connection_info().addr().to_string();
        let about = |error: RedisError| format!("{name}: {error}");
        let connection = client.get_connection_with_timeout(LIMIT).map_err(about)?;
        connection.set_read_timeout(Some(LIMIT)).map_err(about)?;
        connection.set_write_timeout(Some(LIMIT)).map_err(about)?;
        Ok(Self { connection, name })
    }

    /// Stores a certificate and its sealed key, and tells of it.
    pub(crate) fn put(&mut self, name: &str, certificate: &[u8], key: &str) -> Result<(), String> {
        let hash = key_of(name);
        let written: Result<(), _> = redis::pipe()
            .atomic()
            .del(&hash)
            .hset_multiple(&hash, &[(CERTIFICATE, certificate), (KEY, key.as_bytes())])
            .publish(CHANNEL, name)
            .query(&mut self.connection);
        written.map_err(|error| format!("{}: {error}", self.name))
    }

    /// Removes a certificate, and tells of it. False if there is none.
    pub(crate) fn remove(&mut self, name: &str) -> Result<bool, String> {
        let hash = key_of(name);
        let removed: Result<(i64,), _> = redis::pipe()
            .atomic()
            .hdel(&hash, &[CERTIFICATE, KEY])
            .hset(&hash, REMOVED, 1)
            .ignore()
            .expire(&hash, REMEMBERED_FOR)
            .ignore()
            .publish(CHANNEL, name)
            .ignore()
            .query(&mut self.connection);
        removed
            .map(|(fields,)| fields > 0)
            .map_err(|error| format!("{}: {error}", self.name))
    }
}
