// SPDX-License-Identifier: Apache-2.0
//! The codes of log lines: why a handshake failed, and what is to be done about certificates.
//!
//! A code never changes its meaning, and the number of one that is no longer used is not given to another. The first digit
//! says what the line is about, the second the kind of reason. `docs/log-codes.md` has this table; a test compares them.

use std::fmt::{self, Write};

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $number:literal, $name:literal, $cause:literal, $mend:literal;)*) => {
        /// A code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code { $($(#[$doc])* #[doc = $cause] $code = $number,)* }

        /// All codes, in the order of their numbers.
        pub const TABLE: &[Entry] = &[
            $(Entry { code: Code::$code, name: $name, cause: $cause, mend: $mend },)*
        ];
    };
}

/// What there is to know about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// A short name, for programs that show or count reasons.
    pub name: &'static str,
    /// What has happened. Markdown.
    pub cause: &'static str,
    /// What the administrator can do. Markdown.
    pub mend: &'static str,
}

codes! {
    NotTls = 1001, "not_tls",
        "The client's first bytes are no TLS record",
        "Nothing, if it is a scanner. Otherwise the client, or a proxy before the server, uses another protocol on this port, such as the PROXY protocol (see mod_remoteip)";
    PlainHttp = 1002, "plain_http",
        "The client sent plain HTTP to a TLS port, and was answered with 400",
        "Correct the link or the client: `https://` instead of `http://`. If the port is meant for plain HTTP, it must have no `TLSEngine`";
    Malformed = 1003, "malformed_message",
        "A message of the client is not well-formed",
        "Nothing: the client is defective, or a scanner, or something between it and the server changes data";
    TooLarge = 1004, "message_too_large",
        "A record or handshake message of the client is larger than allowed",
        "Nothing, if it is a scanner. A client certificate with a very long chain can also be the reason";
    UnexpectedMessage = 1005, "unexpected_message",
        "The client sent a message that is not allowed at that point",
        "Nothing: the client is defective, or a scanner";
    ProtocolViolation = 1006, "protocol_violation",
        "The client violated the protocol; the message names the rule",
        "Nothing: the client is defective, or a scanner";
    DecryptError = 1007, "cannot_decrypt",
        "A record of the client cannot be decrypted",
        "Data was changed on the way, or the client is defective. If many clients are concerned, check the network devices before the server";
    ClientClosed = 1008, "closed_by_client",
        "The client closed the connection in the handshake, without an alert",
        "If it was after the server had sent its certificate, the client may not trust it: check that the chain is complete, and that the name is in it. Otherwise a scanner, a health check, or a user who gave up";
    TooSlow = 1009, "too_slow",
        "The handshake was not complete within the time that `RequestReadTimeout handshake=` or `Timeout` allows",
        "Nothing, if it is single clients on bad networks. If large ClientHellos (post-quantum groups) do not arrive, look for a network device that drops them";
    ConnectionLost = 1010, "connection_lost",
        "The connection failed in the handshake, for example by a reset",
        "As for a client that closes the connection";

    VersionTooOld = 1101, "version_too_old",
        "The client offers no version newer than TLS 1.1",
        "Nothing: such clients cannot be served";
    VersionNotEnabled = 1102, "version_not_enabled",
        "The client offers only TLS versions that are not enabled",
        "Add the version to `TLSProtocol`, or use `TLSPolicy intermediate`, if such clients shall be served";
    NoCommonSuite = 1103, "no_common_suite",
        "The client offers none of the enabled cipher suites",
        "See `TLSCiphersSuppress`. Clients that offer only CBC or RSA key exchange cannot be served";
    NoCommonGroup = 1104, "no_common_group",
        "The client offers none of the enabled key exchange groups",
        "See `TLSGroupsSuppress`. The client may offer only finite fields (DHE) or unusual curves, which are not available";
    NoSuitableCertificate = 1105, "no_suitable_certificate",
        "The host has no certificate that the client's signature schemes and cipher suites allow",
        "Add a certificate with the other kind of key (RSA or ECDSA) by another `TLSCertificate`";
    NoCommonScheme = 1106, "no_common_scheme",
        "The client offers no signature scheme that the server's key can use",
        "Add a certificate with the other kind of key (RSA or ECDSA) by another `TLSCertificate`";
    NoCommonProtocol = 1107, "no_common_protocol",
        "The client offers by ALPN only protocols that the host does not speak",
        "See `Protocols`; for HTTP/2, load mod_http2";
    VersionFallback = 1108, "version_fallback",
        "The client repeats a handshake with an older version than both sides support (TLS_FALLBACK_SCSV)",
        "Find out why its first attempt failed: the lines before this one, or a network device that disturbs TLS 1.3";
    ExtensionMissing = 1109, "extension_missing",
        "The ClientHello lacks an extension that is required; the message names it",
        "Nothing: the client is too old, or a scanner";
    Incompatible = 1110, "incompatible",
        "Client and server have something else not in common; the message names it",
        "Nothing: the client is too old, or a scanner";

    UnknownServerName = 1201, "unknown_server_name",
        "No virtual host has the name that the client asks for, and `TLSStrictSNI` is on",
        "Add a `ServerAlias`, or set `TLSStrictSNI off`";
    NotInStore = 1202, "certificate_not_in_store",
        "`TLSCertificateStore` has no certificate for the name that the client asks for, and the host has no `TLSCertificate`",
        "Nothing if nobody should ask for the name. Otherwise put its certificate into the store; it is found within two seconds";
    StoreFailed = 1203, "certificate_store_failed",
        "The certificate in `TLSCertificateStore` cannot be used, or the store cannot be asked; the message says why",
        "Repair the file that the message names";

    NoClientCertificate = 1301, "no_client_certificate",
        "The client presented no certificate, and the host requires one",
        "Install a certificate in the client, or set `TLSClientCertificate optional`";
    ClientExpired = 1302, "client_certificate_expired",
        "The client's certificate, or a CA above it, has expired",
        "Renew it";
    ClientNotYetValid = 1303, "client_certificate_not_yet_valid",
        "The client's certificate, or a CA above it, is not valid yet",
        "Check the server's clock";
    ClientUnknownIssuer = 1304, "client_certificate_unknown_issuer",
        "The issuer of the client's certificate is not among `TLSClientCA`",
        "Add the CA to `TLSClientCA`, or have the client send its intermediate certificates";
    ClientRevoked = 1305, "client_certificate_revoked",
        "The client's certificate, or a CA above it, is revoked",
        "Issue a new one";
    ClientNoCrl = 1306, "client_certificate_no_crl",
        "No revocation list covers the client's certificate, and `TLSClientCRLCheck` or `TLSClientRevocation` requires one",
        "Add the list of its issuer to `TLSClientCRL`, or look at what the line says about the list that could not be fetched";
    ClientCrlExpired = 1307, "client_certificate_crl_expired",
        "The revocation list for the client's certificate has expired",
        "Repair what renews the list";
    ClientBadSignature = 1308, "client_certificate_bad_signature",
        "A signature in the path of the client's certificate is invalid",
        "Check that the CA in `TLSClientCA` is the current one: another key may have the same name";
    ClientWeakSignature = 1309, "client_certificate_weak_signature",
        "The path of the client's certificate has a signature with an algorithm that is not safe, such as SHA-1",
        "Have it reissued";
    ClientWrongPurpose = 1310, "client_certificate_wrong_purpose",
        "The usages in the client's certificate do not allow client authentication",
        "Have it reissued with extended key usage clientAuth";
    ClientTooDeep = 1311, "client_certificate_too_deep",
        "There are more CAs above the client's certificate than `TLSClientVerifyDepth` allows",
        "Raise `TLSClientVerifyDepth`";
    ClientIsCa = 1312, "client_certificate_is_ca",
        "The client's certificate is that of a CA",
        "Issue a certificate for the client by that CA";
    ClientNotACa = 1313, "client_certificate_issuer_no_ca",
        "A certificate above that of the client is not that of a CA",
        "Have that one reissued with basicConstraints CA:TRUE";
    ClientConstraint = 1314, "client_certificate_constraint",
        "A CA above the client's certificate may not issue it (path length or name constraint)",
        "Issue it by another CA";
    ClientOldVersion = 1315, "client_certificate_old_version",
        "The client's certificate, or a CA above it, is of X.509 version 1",
        "Have it reissued";
    ClientCriticalExtension = 1316, "client_certificate_critical_extension",
        "The client's certificate, or a CA above it, has a critical extension that is not known",
        "Have it reissued without the extension";
    ClientMalformed = 1317, "client_certificate_malformed",
        "The client's certificate is not well-formed",
        "Have it reissued";
    ClientOther = 1318, "client_certificate_other",
        "The client's certificate is refused for another reason, which the message names",
        "See the message";
    ClientNoProof = 1319, "client_certificate_no_proof",
        "The client's signature does not prove that it has the key of its certificate",
        "The client uses the wrong key, or is defective";
    ClientStatusUnknown = 1320, "client_certificate_status_unknown",
        "No OCSP responder says whether the client's certificate is revoked, and `TLSClientOCSP` requires that",
        "Look at what the line says about the responder";

    AlertUnknownCa = 1401, "alert_unknown_ca",
        "The client does not know the CA of the server's certificate (alert unknown_ca)",
        "Check that `TLSCertificate` has the complete chain. Otherwise the client needs the CA: typical for private CAs, and for applications that pin one";
    AlertBadCertificate = 1402, "alert_bad_certificate",
        "The client does not accept the server's certificate (alerts bad_certificate, certificate_unknown, unsupported_certificate)",
        "Check the certificate's names and chain. The user may also have cancelled at the warning of a browser";
    AlertExpired = 1403, "alert_certificate_expired",
        "The client says that the server's certificate has expired, or is revoked",
        "Renew the certificate; a reload is needed only with `TLSWatch off`. If it is valid, the client's clock is wrong";
    AlertHandshakeFailure = 1404, "alert_handshake_failure",
        "The client finds nothing in common, or considers the server's choice not secure (alerts handshake_failure, insufficient_security)",
        "Compare what the line says of its offer with `httpd -t -D DUMP_TLS`";
    AlertProtocolVersion = 1405, "alert_protocol_version",
        "The client does not accept the TLS version (alert protocol_version)",
        "See `TLSProtocol`";
    AlertInternalError = 1406, "alert_internal_error",
        "The client reports an error of its own (alert internal_error)",
        "Nothing: see the client's log";
    AlertCancelled = 1407, "alert_user_canceled",
        "The client ended the handshake for a reason that has nothing to do with TLS (alerts close_notify, user_canceled)",
        "Nothing";
    AlertOther = 1408, "alert_other",
        "The client ended the connection with another alert, which the message names",
        "See section 6 of RFC 8446 for its meaning";

    SigningFailed = 1501, "signing_failed",
        "The server's private key cannot be used; the message says why",
        "See the message";
    KeyProcessUnavailable = 1502, "key_process_unavailable",
        "`tls-keyd`, which has the private keys, does not answer",
        "See the messages of httpd's parent process, and docs/keys.md";
    NoSettings = 1503, "no_settings",
        "The handshake cannot be configured; the message says why",
        "Report it, with the line and the output of `httpd -t -D DUMP_TLS`";
    BadChallenge = 1504, "bad_challenge_certificate",
        "The certificate that answers an ACME challenge cannot be used",
        "See mod_md's messages";
    InternalError = 1505, "internal_error",
        "A defect of this module; other connections are not affected",
        "Report it";
    OtherError = 1506, "other_error",
        "Another error of the server, which the message names",
        "See the message";

    BackendNotTls = 2001, "backend_not_tls",
        "The backend answered in plain text",
        "Use `http://`, or another port";
    BackendBrokenTls = 2002, "backend_broken_tls",
        "A message of the backend is malformed, unexpected or cannot be decrypted",
        "The backend is defective, or something between it and this server changes data";
    BackendClosed = 2003, "closed_by_backend",
        "The backend closed the connection in the handshake",
        "Check that it speaks TLS on this port, and see its log";
    BackendTooSlow = 2004, "backend_too_slow",
        "The backend did not answer in time",
        "Increase `ProxyTimeout`, or repair the backend";
    BackendName = 2005, "backend_name",
        "The name of the backend is neither a DNS name nor an IP address",
        "Correct the URL in `ProxyPass`";
    BackendSettings = 2006, "backend_settings",
        "The settings for the backend cannot be used; the message says why",
        "See the message";
    BackendIncompatible = 2101, "backend_incompatible",
        "The backend has no version, cipher suite or group in common with this server",
        "See `TLSProxyProtocol` and `TLSProxyCiphersSuppress`";
    BackendNoHttp2 = 2102, "backend_no_http2",
        "The backend does not speak HTTP/2 by ALPN",
        "Use `https://` instead of `h2://`";
    BackendExpired = 2302, "backend_certificate_expired",
        "The backend's certificate, or a CA above it, has expired",
        "Renew it";
    BackendNotYetValid = 2303, "backend_certificate_not_yet_valid",
        "The backend's certificate, or a CA above it, is not valid yet",
        "Check this server's clock";
    BackendUnknownIssuer = 2304, "backend_certificate_unknown_issuer",
        "The issuer of the backend's certificate is not among `TLSProxyCA`",
        "Add the CA to `TLSProxyCA`; check that the backend sends its intermediate certificates";
    BackendRevoked = 2305, "backend_certificate_revoked",
        "The backend's certificate, or a CA above it, is revoked",
        "Issue a new one";
    BackendNoCrl = 2306, "backend_certificate_no_crl",
        "No revocation list covers the backend's certificate, neither of `TLSProxyCRL` nor of `TLSProxyRevocation`",
        "Add the list of its issuer to `TLSProxyCRL`, or look at what the line says about the list that could not be fetched";
    BackendCrlExpired = 2307, "backend_certificate_crl_expired",
        "The revocation list for the backend's certificate has expired",
        "Repair what renews the list";
    BackendBadSignature = 2308, "backend_certificate_bad_signature",
        "A signature in the path of the backend's certificate is invalid",
        "Check that the CA in `TLSProxyCA` is the current one: another key may have the same name";
    BackendWeakSignature = 2309, "backend_certificate_weak_signature",
        "The path of the backend's certificate has a signature with an algorithm that is not safe, such as SHA-1",
        "Have it reissued";
    BackendWrongPurpose = 2310, "backend_certificate_wrong_purpose",
        "The usages in the backend's certificate do not allow server authentication",
        "Have it reissued with extended key usage serverAuth";
    BackendCertificate = 2318, "backend_certificate_other",
        "The backend's certificate is refused for another reason, which the message names",
        "See the message";
    BackendWrongName = 2320, "backend_certificate_wrong_name",
        "The backend's certificate is for other names",
        "Use a name in `ProxyPass` that the certificate has, or have the certificate reissued";
    BackendWantsCertificate = 2401, "backend_alert_handshake_failure",
        "The backend ended the handshake: it may want a client certificate, or has nothing in common with this server",
        "Set `TLSProxyMachineCertificate`; see `TLSProxyProtocol` and `TLSProxyCiphersSuppress`";
    BackendRefusesCertificate = 2402, "backend_alert_bad_certificate",
        "The backend does not accept the certificate of `TLSProxyMachineCertificate`",
        "Have the backend trust its CA, or use another certificate";
    BackendProtocolVersion = 2403, "backend_alert_protocol_version",
        "The backend speaks none of the versions of `TLSProxyProtocol`",
        "See `TLSProxyProtocol`";
    BackendAlert = 2404, "backend_alert_other",
        "The backend ended the connection with another alert, which the message names",
        "See the backend's log";
    BackendSigning = 2501, "backend_signing_failed",
        "The key of `TLSProxyMachineCertificate` cannot be used; the message says why",
        "See the message, and docs/keys.md";
    BackendOther = 2506, "backend_other_error",
        "Another error, which the message names",
        "See the message";

    Suppressed = 3001, "suppressed",
        "Further failures with the same code were not logged one by one; the line has their number",
        "See the code that the line names";

    Expires = 4001, "certificate_expires",
        "A certificate of the server expires within 30, 14, 7 or 1 days",
        "Renew it; a reload is needed only with `TLSWatch off`";
    Expired = 4002, "certificate_expired",
        "A certificate of the server has expired",
        "Renew it; a reload is needed only with `TLSWatch off`";
    ExpiryHook = 4003, "expiry_command_failed",
        "The program of `TLSExpiryCommand` could not be started, or has failed",
        "See the message";
}

/// The kinds of codes, by their first two digits.
const KINDS: &[(u16, &str)] = &[
    (10, "Clients: not TLS, or not complete"),
    (11, "Clients: nothing in common"),
    (12, "Clients: server names"),
    (13, "Clients: their certificates"),
    (14, "Clients: alerts from them"),
    (15, "Clients: errors of this server"),
    (20, "Backends: not TLS, or not complete"),
    (21, "Backends: nothing in common"),
    (23, "Backends: their certificates"),
    (24, "Backends: alerts from them"),
    (25, "Backends: errors of this server"),
    (30, "Reports about the log"),
    (40, "Certificates of the server"),
];

impl Code {
    /// The number.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// Whether it is the refusal of a client's certificate, or of a client without one.
    pub fn is_of_client_certificate(self) -> bool {
        self.number() / 100 == 13
    }

    /// The place in [`TABLE`].
    pub fn index(self) -> usize {
        TABLE.binary_search_by_key(&self, |entry| entry.code).unwrap_or(0)
    }

    /// What there is to know about it.
    pub fn entry(self) -> &'static Entry {
        &TABLE[self.index()]
    }

    /// Whether it is about what clients do, not about errors of this server or backends.
    pub fn is_of_client(self) -> bool {
        let is_ours = matches!(
            self,
            Self::ClientNoCrl | Self::ClientCrlExpired | Self::ClientStatusUnknown
        );
        (1000..1500).contains(&self.number()) && !is_ours
    }

    /// The short name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLS{:04}", self.number())
    }
}

/// The tables of `docs/log-codes.md`, in Markdown.
pub fn markdown() -> String {
    let mut text = String::new();
    for (kind, title) in KINDS {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "### {title}\n\n| code | name | cause | what to do |\n|---|---|---|---|\n"
        );
        for entry in TABLE.iter().filter(|entry| entry.code.number() / 100 == *kind) {
            let Entry {
                code,
                name,
                cause,
                mend,
            } = entry;
            let _ = writeln!(text, "| {code} | `{name}` | {cause} | {mend} |");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_each_code_has_a_kind() {
        assert!(TABLE.is_sorted_by(|one, other| one.code < other.code));
        for (index, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.code.index(), index);
            assert!(
                KINDS.iter().any(|(kind, _)| *kind == entry.code.number() / 100),
                "{}",
                entry.code
            );
            assert!(
                !entry.cause.ends_with('.') && !entry.mend.ends_with('.'),
                "{}",
                entry.code
            );
            assert!(
                !entry.cause.contains('|') && !entry.mend.contains('|'),
                "{}",
                entry.code
            );
            assert!(
                entry
                    .name
                    .bytes()
                    .all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
            );
        }
        let mut names: Vec<&str> = TABLE.iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|one, other| one < other), "names are unique");
    }

    #[test]
    fn text_form() {
        assert_eq!(Code::NoCommonSuite.to_string(), "TLS1103");
        assert_eq!(Code::NoCommonSuite.name(), "no_common_suite");
        assert!(Code::NotTls.is_of_client() && Code::AlertOther.is_of_client());
        assert!(!Code::SigningFailed.is_of_client() && !Code::BackendClosed.is_of_client());
    }

    /// `MOD_TLS_WRITE_DOCS=1 cargo test -p mod-tls-core log_codes` writes the tables.
    #[test]
    fn the_documentation_has_the_table() {
        const BEGIN: &str = "<!-- begin: generated -->\n\n";
        const END: &str = "<!-- end: generated -->";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/log-codes.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (found, after) = rest.split_once(END).unwrap();
        if std::env::var_os("MOD_TLS_WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", markdown())).unwrap();
        } else {
            assert_eq!(found, markdown(), "write the tables with MOD_TLS_WRITE_DOCS=1");
        }
    }
}
