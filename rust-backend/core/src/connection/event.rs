// SPDX-License-Identifier: Apache-2.0
//! What the caller of a connection has to do next.

/// The next action after [`Connection::receive`](super::Connection::receive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// No special action: read plaintext, send pending data, receive more.
    None,
    /// The ClientHello is complete: select a site and call [`Connection::accept`](super::Connection::accept).
    Hello,
    /// The client has sent plain HTTP. No data was consumed, and the connection cannot be used any further.
    PlainHttp,
    /// Other machines are asked about the client's certificate. Nothing may be sent, and no plaintext used, before
    /// [`Connection::answered`](super::Connection::answered) returns something else.
    Awaiting,
    /// The client has sent early data (RFC 8446 section 2.3), which can be read and answered before the handshake is
    /// complete. [`Connection::info`](super::Connection::info) are available.
    Early,
    /// The handshake is complete. [`Connection::info`](super::Connection::info) are available.
    Established,
}
