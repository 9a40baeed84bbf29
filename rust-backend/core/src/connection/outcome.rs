// SPDX-License-Identifier: Apache-2.0
//! The result of a handshake.

use std::sync::{Arc, OnceLock};

use rustls::{HandshakeKind, ProtocolVersion};

use super::failure::Failure;
use super::{Connection, State};
use crate::base::clock::unix_now;
use crate::base::log_codes::Code;
use crate::info::connection_info::ConnectionInfo;
use crate::trust::client::verify_result::VerifyResult;

impl Connection {
    /// Checks the result of a handshake with a backend.
    pub(super) fn check_backend(&mut self) -> Result<(), Failure> {
        let (State::Live(live), Some(backend)) = (&self.state, &self.backend) else {
            return Ok(());
        };
        let failure = if &*backend.protocol == b"h2" && live.alpn_protocol() != Some(b"h2") {
            Some(Failure::ours(
                Code::BackendNoHttp2,
                "the backend does not speak HTTP/2 by ALPN: use https:// instead of h2://",
            ))
        } else if live.handshake_kind() == Some(HandshakeKind::Resumed) {
            let chain = live.peer_certificates().unwrap_or_default();
            let verified = backend.profile.verify_again(chain, unix_now());
            verified.err().as_ref().map(Failure::of_backends_certificate)
        } else {
            None
        };
        match failure {
            Some(failure) => {
                self.retire();
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Stores the result of the handshake. With early data, all of it is known before the handshake is complete.
    pub(super) fn note_facts(&mut self) {
        let State::Live(live) = &self.state else { return };
        let (Some(version), Some(suite), None) = (live.protocol_version(), live.negotiated_cipher_suite(), &self.info)
        else {
            return;
        };
        let identity = self.identity.take();
        let resumed = live.handshake_kind() == Some(HandshakeKind::Resumed);
        let group = live.negotiated_key_exchange_group().map(|group| group.name());
        let client_chain: Box<[_]> = live.peer_certificates().unwrap_or_default().into();
        let client_result = match &self.verification {
            Some(verification) => verification.result(&client_chain, unix_now()),
            None => VerifyResult::NotAsked,
        };
        let info = ConnectionInfo {
            sni: self.hello.sni.clone(),
            offer: self.hello.offer.take(),
            handshake_time: self.started.elapsed(),
            signatures: self.signatures.take(),
            version,
            suite,
            group,
            resumed,
            session_id: std::mem::take(&mut self.session_id),
            identity,
            client_chain,
            client_result,
            client_mode: self.client_mode,
            exporter: OnceLock::new(),
            usual_depth: self.usual_depth,
            names: self.names,
        };
        self.count_success(&info);
        self.info = Some(Arc::new(info));
    }

    /// Whether requests run in other threads than the connection.
    pub(super) fn is_http2(&self) -> bool {
        matches!(&self.state, State::Live(live) if live.alpn_protocol() == Some(b"h2"))
    }

    /// Derives the channel binding `tls-exporter` (RFC 9266), which is then available in [`Self::info`]. This takes
    /// time, and few applications need it; with HTTP/2 it cannot be derived later. In TLS 1.2 it is unique only with
    /// the extended master secret, which is used with every client that offers it.
    pub fn bind_channel(&self) {
        let (State::Live(live), Some(info)) = (&self.state, &self.info) else {
            return;
        };
        if info.exporter.get().is_some() || self.backend.is_some() {
            return;
        }
        if info.version != ProtocolVersion::TLSv1_3 && !self.hello.extended_master_secret {
            return;
        }
        if let Ok(binding) = live.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None) {
            let _ = info.exporter.set(binding);
        }
    }
}

/// The session id in a TLS 1.2 ServerHello (RFC 5246 section 7.4.1.3) at the start of `flight`, in upper-case hex.
/// rustls does not report it. In TLS 1.3 the field is only an echo.
pub(super) fn session_id_in(version: Option<ProtocolVersion>, flight: &[u8]) -> Box<str> {
    const RECORD_HEADER: usize = 5;
    const HANDSHAKE_HEADER: usize = 4;
    const VERSION_AND_RANDOM: usize = 2 + 32;
    if version != Some(ProtocolVersion::TLSv1_2) {
        return Box::default();
    }
    let id = flight
        .get(RECORD_HEADER + HANDSHAKE_HEADER + VERSION_AND_RANDOM..)
        .and_then(<[u8]>::split_first)
        .and_then(|(len, rest)| rest.get(..usize::from(*len)))
        .unwrap_or_default();
    id.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into()
}
