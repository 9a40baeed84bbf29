// SPDX-License-Identifier: Apache-2.0
//! The `SSL*` directives: all that mod_ssl 2.4.71 has, in alphabetical order.

use crate::{Context, Directive};

const STAPLING_CACHE: &str =
    "OCSP responses are in the memory of all processes, and in the directory of TLSRevocationCache";
const STAPLING_ERRORS: &str =
    "only responses are stapled that say that the certificate is not revoked: others only do harm";
const SRP: &str = "rustls has no SRP: use client certificates (SSLVerifyClient) or passwords over TLS (AuthType Basic)";
const LOG: &str = "mod_ssl has removed it as well: use ErrorLog and LogLevel";

/// All `SSL*` directives.
pub const TABLE: &[Directive] = &[
    Directive::new(
        "SSLCACertificateFile",
        "file",
        Context::HostOrSection,
        "PEM file of CA certificates that are trusted to issue client certificates",
    )
    .note(
        "In a directory it is an error: there is no renegotiation, so the CA certificates are those of the \
         virtual host.",
    ),
    Directive::new(
        "SSLCACertificatePath",
        "directory",
        Context::HostOrSection,
        "Directory of CA certificates that are trusted to issue client certificates",
    )
    .note(
        "As with OpenSSL, only links by hash (`openssl rehash`) are used. They are read at the start. In a \
         directory it is an error, as with SSLCACertificateFile.",
    ),
    Directive::new(
        "SSLCADNRequestFile",
        "file",
        Context::Host,
        "PEM file of CA certificates whose names are sent to clients",
    ),
    Directive::new(
        "SSLCADNRequestPath",
        "directory",
        Context::Host,
        "Directory of CA certificates whose names are sent to clients",
    )
    .note("All files in the directory are read, whatever their names."),
    Directive::new(
        "SSLCARevocationCheck",
        "chain|leaf|none [no_crl_for_cert_ok]",
        Context::Host,
        "Which certificates of a client's chain are checked for revocation",
    ),
    Directive::new(
        "SSLCARevocationFile",
        "file",
        Context::Host,
        "File of certificate revocation lists for client certificates",
    )
    .note("PEM or DER. A file that has changed is read again, without a reload."),
    Directive::new(
        "SSLCARevocationPath",
        "directory",
        Context::Host,
        "Directory of certificate revocation lists for client certificates",
    )
    .note(
        "As with OpenSSL, only links by hash (`openssl rehash`) are used. A list that has changed is read \
         again, without a reload; one with a new name is found by a reload.",
    ),
    Directive::new(
        "SSLCertificateChainFile",
        "file",
        Context::Host,
        "PEM file of intermediate certificates of the server",
    )
    .note(
        "For certificates whose own file has no intermediate certificates. As with OpenSSL, intermediate \
         certificates are also looked for in SSLCACertificateFile and SSLCACertificatePath.",
    ),
    Directive::new(
        "SSLCertificateFile",
        "file",
        Context::Host,
        "PEM file of a certificate of the server, with its chain",
    )
    .note(
        "RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) and Ed25519, in PEM. Of two certificates with \
         the same kind of key the last one is used. DH parameters and curves in the file are ignored.",
    ),
    Directive::new(
        "SSLCertificateKeyFile",
        "file",
        Context::Host,
        "PEM file of the private key of the server's certificate",
    )
    .note(
        "Also encrypted: PKCS#8 with PBES2, and OpenSSL's older form (`DEK-Info`) with AES or 3DES. A PKCS#11 \
         URI (`pkcs11:...`) names a key in a token, as with mod_ssl; its PIN comes from `pin-source`, `pin-value` or \
         SSLPassPhraseDialog. OpenSSL's engines do not exist.",
    ),
    Directive::new(
        "SSLCipherSuite",
        "[SSL|TLSv1.3] cipher-list",
        Context::HostOrSection,
        "Cipher suites that are used with clients, in OpenSSL's notation",
    )
    .note(
        "Red Hat's `PROFILE=SYSTEM` is `DEFAULT`. Of TLS 1.2 only the ECDHE suites with AES-GCM and \
         ChaCha20-Poly1305 exist; a list with none of them is an error if TLSv1.2 is used. In a directory \
         there is no renegotiation: a request on a connection whose suite is not in the list gets 403.",
    ),
    Directive::new(
        "SSLCompression",
        "on|off",
        Context::Host,
        "Accepted and ignored: compression in TLS",
    )
    .without_effect("rustls never compresses; `on` is refused, because it makes secrets guessable (CRIME)"),
    Directive::new(
        "SSLCryptoDevice",
        "engine",
        Context::Server,
        "Accepted and ignored: hardware for cryptography",
    )
    .without_effect("there are no engines; any other than `builtin` is refused: take the key from a file"),
    Directive::new(
        "SSLEngine",
        "on|off",
        Context::Host,
        "Use TLS for connections to this virtual host",
    )
    .note("`on` and `off`, and implied by `Listen ... https` as with mod_ssl. `optional` (RFC 2817) is refused."),
    Directive::new(
        "SSLFIPS",
        "on|off",
        Context::Server,
        "Require that all cryptography in use is approved by FIPS 140-3",
    )
    .note("`on` needs a module that was configured with `--enable-fips`: see [crypto.md](crypto.md#fips-140-3)."),
    Directive::new(
        "SSLHonorCipherOrder",
        "on|off",
        Context::Host,
        "Choose the cipher suite by the server's order of preference",
    ),
    Directive::new(
        "SSLInsecureRenegotiation",
        "on|off",
        Context::Host,
        "Accepted and ignored: renegotiation without RFC 5746",
    )
    .without_effect(
        "rustls never renegotiates; `on` is refused, because it lets an attacker put data in front of the \
         client's (CVE-2009-3555)",
    ),
    Directive::new("SSLLog", "file", Context::Anywhere, "Refused: use ErrorLog").refused(LOG),
    Directive::new("SSLLogLevel", "level", Context::Anywhere, "Refused: use LogLevel").refused(LOG),
    Directive::new(
        "SSLOCSPDefaultResponder",
        "url",
        Context::Host,
        "OCSP responder for client certificates that name none",
    ),
    Directive::new(
        "SSLOCSPEnable",
        "on|leaf|off [no_ocsp_for_cert_ok]",
        Context::Host,
        "Check client certificates by asking OCSP responders",
    )
    .note("A handshake waits without a thread where the MPM can wait. Answers are kept for as long as they hold."),
    Directive::new(
        "SSLOCSPNoVerify",
        "on|off",
        Context::Host,
        "Do not verify the signatures of OCSP responses",
    ),
    Directive::new(
        "SSLOCSPOverrideResponder",
        "on|off",
        Context::Host,
        "Ask only the default OCSP responder",
    ),
    Directive::new(
        "SSLOCSPProxyURL",
        "url",
        Context::Host,
        "HTTP proxy for requests to OCSP responders",
    ),
    Directive::new(
        "SSLOCSPResponderCertificateFile",
        "file",
        Context::Host,
        "Certificates whose keys may sign OCSP responses",
    ),
    Directive::new(
        "SSLOCSPResponderTimeout",
        "seconds",
        Context::Host,
        "Time limit for an answer of an OCSP responder, in seconds",
    ),
    Directive::new(
        "SSLOCSPResponseMaxAge",
        "seconds",
        Context::Host,
        "Maximum age of OCSP responses, in seconds",
    ),
    Directive::new(
        "SSLOCSPResponseTimeSkew",
        "seconds",
        Context::Host,
        "How much the clocks of OCSP responders may differ, in seconds",
    ),
    Directive::new(
        "SSLOCSPUseRequestNonce",
        "on|off",
        Context::Host,
        "Use nonces in OCSP requests",
    ),
    Directive::new(
        "SSLOpenSSLConfCmd",
        "command value",
        Context::Host,
        "Settings by the name of an OpenSSL configuration command",
    )
    .note(
        "Curves and Groups, SignatureAlgorithms, MinProtocol and MaxProtocol, CipherString, Ciphersuites, and \
         of Options SessionTicket and ServerPreference. DHParameters, ECDHParameters, and Options that \
         disable what rustls does not have, are ignored. All others are errors.",
    ),
    Directive::new(
        "SSLOptions",
        "[+|-]option ...",
        Context::Options,
        "Options for the environment of requests and for client certificates",
    )
    .note("OptRenegotiate is ignored: there is no renegotiation."),
    Directive::new(
        "SSLPassPhraseDialog",
        "type",
        Context::Server,
        "Source of the pass phrases of encrypted private keys",
    )
    .note(
        "`builtin`, `exec:program` and `|program` as with mod_ssl. A program has 300 seconds for each answer; the \
         environment variable MOD_TLS_PASS_PHRASE_TIMEOUT sets another number, or 0 for no limit. `httpd -t` asks for no \
         pass phrase, and does not check encrypted keys.",
    ),
    Directive::new(
        "SSLProtocol",
        "[+|-]version ...",
        Context::Host,
        "TLS versions that are used with clients",
    )
    .note(
        "Versions before TLSv1.2 do not exist: beside newer ones they are ignored with a notice, alone they \
         are an error.",
    ),
    Directive::new(
        "SSLProxyCACertificateFile",
        "file",
        Context::Proxy,
        "PEM file of CA certificates that are trusted to issue certificates of backends",
    ),
    Directive::new(
        "SSLProxyCACertificatePath",
        "directory",
        Context::Proxy,
        "Directory of CA certificates that are trusted to issue certificates of backends",
    )
    .note("As SSLCACertificatePath."),
    Directive::new(
        "SSLProxyCARevocationCheck",
        "chain|leaf|none [no_crl_for_cert_ok]",
        Context::Proxy,
        "Which certificates of a backend's chain are checked for revocation",
    ),
    Directive::new(
        "SSLProxyCARevocationFile",
        "file",
        Context::Proxy,
        "File of certificate revocation lists for certificates of backends",
    ),
    Directive::new(
        "SSLProxyCARevocationPath",
        "directory",
        Context::Proxy,
        "Directory of certificate revocation lists for certificates of backends",
    )
    .note("As SSLCARevocationPath."),
    Directive::new(
        "SSLProxyCheckPeerCN",
        "on|off",
        Context::Proxy,
        "Check that the common name in the certificate of a backend is its host name",
    ),
    Directive::new(
        "SSLProxyCheckPeerExpire",
        "on|off",
        Context::Proxy,
        "Check that the certificate of a backend has not expired",
    ),
    Directive::new(
        "SSLProxyCheckPeerName",
        "on|off",
        Context::Proxy,
        "Check that the certificate of a backend is valid for its host name",
    ),
    Directive::new(
        "SSLProxyCipherSuite",
        "[SSL|TLSv1.3] cipher-list",
        Context::Proxy,
        "Cipher suites that are used with backends, in OpenSSL's notation",
    )
    .note("As SSLCipherSuite."),
    Directive::new(
        "SSLProxyEngine",
        "on|off",
        Context::Proxy,
        "Use TLS for connections to backends",
    ),
    Directive::new(
        "SSLProxyMachineCertificateChainFile",
        "file",
        Context::Proxy,
        "PEM file of intermediate certificates of the certificates for backends",
    ),
    Directive::new(
        "SSLProxyMachineCertificateFile",
        "file",
        Context::Proxy,
        "PEM file of certificates, with their private keys, for backends that ask for one",
    )
    .note("Any number of certificates. Their keys may not be encrypted."),
    Directive::new(
        "SSLProxyMachineCertificatePath",
        "directory",
        Context::Proxy,
        "Directory of certificates, with their private keys, for backends that ask for one",
    )
    .note("The same, in all files of the directory."),
    Directive::new(
        "SSLProxyProtocol",
        "[+|-]version ...",
        Context::Proxy,
        "TLS versions that are used with backends",
    )
    .note("As SSLProtocol."),
    Directive::new(
        "SSLProxyVerify",
        "none|optional|require|optional_no_ca",
        Context::Proxy,
        "Verify the certificates of backends",
    )
    .note("The default is mod_ssl's, `none`: any certificate is accepted. A warning at the start says so."),
    Directive::new(
        "SSLProxyVerifyDepth",
        "number",
        Context::Proxy,
        "Maximum number of CA certificates above a certificate of a backend",
    ),
    Directive::new(
        "SSLRandomSeed",
        "startup|connect source [bytes]",
        Context::Server,
        "Accepted and ignored: seeds of the random number generator",
    )
    .without_effect("the system's random numbers are used, which need no seed"),
    Directive::new(
        "SSLRenegBufferSize",
        "bytes",
        Context::Section,
        "Accepted and ignored: buffer for request bodies during renegotiation",
    )
    .without_effect("there is no renegotiation, so request bodies are not buffered for it"),
    Directive::new(
        "SSLRequire",
        "expression",
        Context::Section,
        "Expression that has to be true for a request to be served",
    )
    .note("In mod_ssl's older notation, which httpd's parser reads.")
    .raw(),
    Directive::new("SSLRequireSSL", "", Context::Section, "Refuse requests without TLS"),
    Directive::new(
        "SSLSRPUnknownUserSeed",
        "text",
        Context::Host,
        "Refused: SRP is not supported",
    )
    .refused(SRP),
    Directive::new(
        "SSLSRPVerifierFile",
        "file",
        Context::Host,
        "Refused: SRP is not supported",
    )
    .refused(SRP),
    Directive::new(
        "SSLSessionCache",
        "none|type:arguments",
        Context::Server,
        "Cache for sessions that are not stored in tickets",
    )
    .note("For the sessions of clients that do not use tickets. `nonenotnull` is `none`."),
    Directive::new(
        "SSLSessionCacheTimeout",
        "seconds",
        Context::Host,
        "Time after its handshake until a session expires, in seconds",
    )
    .note("Up to seven days; 0 is taken as one second."),
    Directive::new(
        "SSLSessionTicketKeyFile",
        "file",
        Context::Host,
        "File of 48 random bytes from which ticket keys are derived",
    )
    .note(
        "The file (48 bytes, or 80 as for nginx) is the seed of the ticket keys, which change every six \
         hours: machines with this module that share it accept each other's tickets, but not those of \
         machines with mod_ssl.",
    ),
    Directive::new(
        "SSLSessionTickets",
        "on|off",
        Context::Host,
        "Resume sessions by tickets",
    ),
    Directive::new(
        "SSLStaplingCache",
        "type:arguments",
        Context::Server,
        "Accepted and ignored: cache for OCSP responses",
    )
    .without_effect(STAPLING_CACHE),
    Directive::new(
        "SSLStaplingErrorCacheTimeout",
        "seconds",
        Context::Host,
        "Pause before another attempt to fetch an OCSP response, in seconds",
    )
    .note("Without it the pause grows from 5 seconds to an hour."),
    Directive::new(
        "SSLStaplingFakeTryLater",
        "on|off",
        Context::Host,
        "Accepted and ignored: stapled tryLater responses after failed OCSP requests",
    )
    .without_effect(STAPLING_ERRORS),
    Directive::new(
        "SSLStaplingForceURL",
        "url",
        Context::Host,
        "OCSP responder to ask instead of the certificate's",
    ),
    Directive::new(
        "SSLStaplingResponderTimeout",
        "seconds",
        Context::Host,
        "Time limit for OCSP requests for stapling, in seconds",
    ),
    Directive::new(
        "SSLStaplingResponseMaxAge",
        "seconds",
        Context::Host,
        "Maximum age of OCSP responses for stapling, in seconds",
    ),
    Directive::new(
        "SSLStaplingResponseTimeSkew",
        "seconds",
        Context::Host,
        "How much the clocks of OCSP responders may differ, in seconds",
    ),
    Directive::new(
        "SSLStaplingReturnResponderErrors",
        "on|off",
        Context::Host,
        "Accepted and ignored: stapling of responses other than good",
    )
    .without_effect(STAPLING_ERRORS),
    Directive::new(
        "SSLStaplingStandardCacheTimeout",
        "seconds",
        Context::Host,
        "How often OCSP responses for stapling are fetched anew at least, in seconds",
    )
    .note("Without it they are fetched at half of their life."),
    Directive::new(
        "SSLStrictSNIVHostCheck",
        "on|off",
        Context::Host,
        "Refuse requests of clients that sent no server name",
    ),
    Directive::new(
        "SSLUseStapling",
        "on|off",
        Context::Host,
        "Fetch OCSP responses for certificates, and staple them",
    )
    .note("Responses are fetched by another process before they are needed, and their signatures are verified. One that another module provides is preferred (mod_md: MDStapling on)."),
    Directive::new(
        "SSLUserName",
        "variable",
        Context::HostOrSection,
        "Variable of the client certificate that becomes the name of the user",
    )
    .note("A name that is no variable is a warning."),
    Directive::new(
        "SSLVHostSNIPolicy",
        "strict|secure|authonly|insecure",
        Context::Server,
        "How much the virtual host of a request may differ from that of the handshake",
    ),
    Directive::new(
        "SSLVerifyClient",
        "none|optional|require|optional_no_ca",
        Context::HostOrSection,
        "Whether clients have to present a certificate",
    )
    .note(
        "For a directory the handshake of its virtual host asks every client for a certificate, and requests \
         are checked; request bodies are not buffered. In an .htaccess file it works only if the virtual host \
         asks for certificates.",
    ),
    Directive::new(
        "SSLVerifyDepth",
        "number",
        Context::HostOrSection,
        "Maximum number of CA certificates above a client certificate",
    ),
];

/// The row of the directive `name`.
///
/// # Examples
///
/// ```
/// use mod_tls_directives::{Class, mod_ssl};
///
/// assert_eq!(mod_ssl::find("SSLCompression").unwrap().class, Class::WithoutEffect);
/// ```
pub fn find(name: &str) -> Option<&'static Directive> {
    let at = TABLE.binary_search_by(|row| row.name.cmp(name)).ok()?;
    Some(&TABLE[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn rows_are_in_alphabetical_order() {
        assert!(TABLE.is_sorted_by(|one, other| one.name < other.name));
        assert!(TABLE.iter().all(|row| find(row.name) == Some(row)));
        assert_eq!(find("SSLNothing"), None);
    }

    #[test]
    fn rows_say_why_they_are_not_honoured() {
        for directive in TABLE.iter().filter(|row| row.class != Class::Honoured) {
            assert!(!directive.note.is_empty(), "{}", directive.name);
        }
    }
}
