// SPDX-License-Identifier: Apache-2.0
//! Plain HTTP on a TLS port, such as from a browser that follows `http://host:443/`.

/// Whether `data` is how a request or response of HTTP starts: with a letter, as no TLS record does.
pub(super) fn is_start(data: &[u8]) -> bool {
    data.first().is_some_and(u8::is_ascii_alphabetic)
}

/// What is logged about it.
pub const LINE: &str = "plain HTTP on a TLS port, answered with 400";

/// The response to it. Its end is the end of the connection (RFC 9112 section 6.3).
pub const RESPONSE: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=iso-8859-1\r\nConnection: close\r\n\r\n",
    "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\n<html><head>\n<title>400 Bad Request</title>\n",
    "</head><body>\n<h1>Bad Request</h1>\n",
    "<p>This port speaks HTTPS, and your client sent plain HTTP. Use https:// instead.</p>\n</body></html>\n"
);
