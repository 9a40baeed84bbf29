// SPDX-License-Identifier: Apache-2.0
//! Alerts (RFC 8446 section 6) that are ours to send because rustls has no say in them.

use rustls::AlertDescription;

/// A fatal alert in a record of its own, unencrypted: for handshakes that end before there are keys.
pub fn plaintext_record(description: AlertDescription) -> [u8; 7] {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    // Records before the ServerHello carry TLS 1.2's version number whatever is negotiated (RFC 8446 section 5.1).
    [ALERT, 3, 3, 0, 2, FATAL, description.into()]
}
