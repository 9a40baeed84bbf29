// SPDX-License-Identifier: Apache-2.0
//! The `TLS*` directives, in the order of `docs/directives.md`.

use crate::{Context, Directive};

/// All `TLS*` directives.
pub const TABLE: &[Directive] = &[
    Directive::new(
        "TLSEngine",
        "[address:]port",
        Context::Server,
        "Address and port on which connections use TLS",
    )
    .counterpart("SSLEngine")
    .label("TLS ports"),
    Directive::new(
        "TLSCertificate",
        "cert_file [key_file]",
        Context::Host,
        "PEM files of a certificate with its chain, and of its private key",
    )
    .counterpart("SSLCertificateFile")
    .label("Certificate"),
    Directive::new(
        "TLSCertificateStore",
        "cert_pattern [key_pattern]|redis-url sealing_key_file [ca_file]|none",
        Context::Host,
        "Paths of certificates that are looked up by name when a client asks for them",
    )
    .label("Certificate store"),
    Directive::new(
        "TLSStapling",
        "on|off",
        Context::Host,
        "Fetch OCSP responses for certificates, and staple them",
    )
    .default("off")
    .counterpart("SSLUseStapling")
    .label("OCSP stapling"),
    Directive::new(
        "TLSStaplingResponder",
        "url|none",
        Context::Host,
        "OCSP responder to ask instead of those that certificates name",
    )
    .default("none")
    .counterpart("SSLStaplingForceURL"),
    Directive::new(
        "TLSRevocationCache",
        "directory",
        Context::Server,
        "Where OCSP responses and revocation lists that were fetched are kept",
    )
    .default_depends("`tls-revocation` in httpd's directory for runtime files (`DefaultRuntimeDir`)"),
    Directive::new(
        "TLSRevocationProxy",
        "url|none",
        Context::Server,
        "HTTP proxy for requests to OCSP responders and for revocation lists",
    )
    .default("none")
    .counterpart("SSLOCSPProxyURL"),
    Directive::new(
        "TLSRevocationTimeout",
        "seconds",
        Context::Server,
        "Time limit for an answer of an OCSP responder, or for a revocation list",
    )
    .default("10")
    .counterpart("SSLOCSPResponderTimeout"),
    Directive::new(
        "TLSProtocol",
        "version ...",
        Context::Host,
        "TLS versions that are used with clients",
    )
    .default("TLSv1.2+")
    .counterpart("SSLProtocol")
    .label("Protocols"),
    Directive::new(
        "TLSPolicy",
        "modern|intermediate",
        Context::Host,
        "Preset of TLS versions, cipher suites and key exchange groups",
    )
    .default_depends("none, which has the effect of `TLSPolicy intermediate`"),
    Directive::new(
        "TLSGroupsPrefer",
        "group-list",
        Context::Host,
        "Key exchange groups to prefer, in this order",
    )
    .counterpart("SSLOpenSSLConfCmd Groups")
    .label("Groups"),
    Directive::new(
        "TLSGroupsSuppress",
        "group-list",
        Context::Host,
        "Key exchange groups to disable",
    )
    .counterpart("SSLOpenSSLConfCmd Groups"),
    Directive::new(
        "TLSCertificateCompression",
        "on|off",
        Context::Host,
        "Compress certificates for clients that support it",
    )
    .default("on")
    .label("Compressed certs"),
    Directive::new(
        "TLSMaxFragmentSize",
        "bytes",
        Context::Host,
        "Maximum size of TLS records sent to clients, in bytes",
    )
    .default("16384"),
    Directive::new(
        "TLSKeyProcess",
        "on|off|path",
        Context::Server,
        "Keep private keys in a process of their own",
    )
    .default_depends("`TLSKeyProcess on` where `tls-keyd` is installed beside the module, otherwise `off`")
    .label("Private keys"),
    Directive::new(
        "TLSKeyProcessUser",
        "user",
        Context::Server,
        "User that the process with the private keys runs as",
    )
    .default_depends("the user that starts httpd"),
    Directive::new(
        "TLSCertificateStoreCache",
        "certificates [mebibytes]",
        Context::Server,
        "How many certificates of TLSCertificateStore each child process keeps",
    )
    .default("4096 64"),
    Directive::new(
        "TLSWatch",
        "on|off|seconds",
        Context::Server,
        "Use renewed certificates without a reload",
    )
    .default("on")
    .label("Watched files"),
    Directive::new(
        "TLSControl",
        "off|path [group name]",
        Context::Server,
        "Socket by which tls-certs asks the running server",
    )
    .default_depends("`tls-certs.sock` in `DefaultRuntimeDir`")
    .label("Socket of tls-certs"),
    Directive::new(
        "TLSKeyLogFile",
        "file",
        Context::Server,
        "File to which the secrets of all connections are written, for debugging",
    ),
    Directive::new(
        "TLSLogFailures",
        "file|\"|program\"",
        Context::Server,
        "File or program that gets a line of JSON for each failed handshake",
    ),
    Directive::new(
        "TLSLogFailuresLimit",
        "lines",
        Context::Server,
        "Number of lines for failures with the same code in a minute",
    )
    .default("50"),
    Directive::new(
        "TLSCounters",
        "on|off",
        Context::Server,
        "Count handshakes and keep the last failures, for the status page and metrics",
    )
    .default("on"),
    Directive::new(
        "TLSExpiryCommand",
        "program [argument] ...",
        Context::Server,
        "Program to run when a certificate expires soon",
    ),
    Directive::new(
        "TLSFIPS",
        "on|off",
        Context::Server,
        "Require that all cryptography in use is approved by FIPS 140-3",
    )
    .default("off")
    .counterpart("SSLFIPS")
    .label("FIPS 140-3"),
    Directive::new(
        "TLSCiphersPrefer",
        "cipher-list",
        Context::Host,
        "Cipher suites to prefer, in this order",
    )
    .counterpart("SSLCipherSuite")
    .label("Cipher suites"),
    Directive::new(
        "TLSCiphersSuppress",
        "cipher-list",
        Context::Host,
        "Cipher suites to disable",
    )
    .counterpart("SSLCipherSuite"),
    Directive::new(
        "TLSHonorClientOrder",
        "on|off",
        Context::Host,
        "Choose the cipher suite by the client's order of preference",
    )
    .default("on")
    .counterpart("SSLHonorCipherOrder")
    .label("Order of suites"),
    Directive::new(
        "TLSStrictSNI",
        "on|off",
        Context::Server,
        "Refuse clients that ask for an unknown server name",
    )
    .default("on")
    .counterpart("SSLStrictSNIVHostCheck")
    .label("Unknown server names"),
    Directive::new(
        "TLSSessionCache",
        "none|default|provider:arguments",
        Context::Server,
        "Cache for sessions that are not stored in tickets",
    )
    .default_depends("`TLSSessionCache default` if mod_socache_shmcb is loaded, else `TLSSessionCache none`")
    .counterpart("SSLSessionCache")
    .label("Session cache"),
    Directive::new(
        "TLSSessionTickets",
        "on|off",
        Context::Host,
        "Resume sessions by tickets",
    )
    .default("on")
    .counterpart("SSLSessionTickets")
    .label("Session tickets"),
    Directive::new(
        "TLSSessionTicketCount",
        "number",
        Context::Host,
        "Number of tickets sent after a full TLS 1.3 handshake",
    )
    .default("2"),
    Directive::new(
        "TLSSessionLifetime",
        "seconds",
        Context::Host,
        "Time after its handshake until a session expires, in seconds",
    )
    .default("43200")
    .counterpart("SSLSessionCacheTimeout"),
    Directive::new(
        "TLSEarlyData",
        "on|off",
        Context::Host,
        "Accept requests in TLS 1.3 early data (0-RTT)",
    )
    .default("off")
    .label("Early data"),
    Directive::new(
        "TLSMaxEarlyDataSize",
        "bytes",
        Context::Host,
        "Maximum amount of early data from a client, in bytes",
    )
    .default("16384"),
    Directive::new(
        "TLSEarlyDataMethods",
        "none|safe|any",
        Context::Options,
        "Request methods that are allowed in early data",
    )
    .default("safe"),
    Directive::new(
        "TLSSessionTicketKeyFile",
        "file",
        Context::Server,
        "File of at least 32 random bytes from which ticket keys are derived",
    )
    .counterpart("SSLSessionTicketKeyFile"),
    Directive::new(
        "TLSOptions",
        "[+|-]option ...",
        Context::Options,
        "Options for the environment of requests and for client certificates",
    )
    .default("Defaults")
    .counterpart("SSLOptions"),
    Directive::new(
        "TLSClientCertificate",
        "none|optional|optional_no_ca|required",
        Context::HostOrSection,
        "Whether clients have to present a certificate",
    )
    .default("none")
    .counterpart("SSLVerifyClient")
    .label("Client verification"),
    Directive::new(
        "TLSClientCA",
        "file|directory ...",
        Context::Host,
        "PEM files of CA certificates that are trusted to issue client certificates",
    )
    .counterpart("SSLCACertificateFile")
    .label("CA"),
    Directive::new(
        "TLSClientCANames",
        "file|directory ... | none",
        Context::Host,
        "PEM files of CA certificates whose names are sent to clients",
    )
    .default_depends("the certificates of `TLSClientCA`")
    .counterpart("SSLCADNRequestFile")
    .label("CA names sent"),
    Directive::new(
        "TLSClientVerifyDepth",
        "number",
        Context::Host,
        "Maximum number of CA certificates above a client certificate",
    )
    .default("1")
    .counterpart("SSLVerifyDepth")
    .label("Depth"),
    Directive::new(
        "TLSClientCRL",
        "file|directory ...",
        Context::Host,
        "Files of certificate revocation lists for client certificates",
    )
    .counterpart("SSLCARevocationFile")
    .label("Revocation list"),
    Directive::new(
        "TLSClientCRLCheck",
        "leaf|chain|none [no_crl_for_cert_ok]",
        Context::Host,
        "Which certificates of a client's chain are checked for revocation",
    )
    .default_depends("`TLSClientCRLCheck chain` if there is a `TLSClientCRL`")
    .counterpart("SSLCARevocationCheck"),
    Directive::new(
        "TLSClientRevocation",
        "off | fetch [soft-fail] [url ...]",
        Context::Host,
        "Fetch the revocation lists that client certificates name",
    )
    .default("off")
    .label("Fetched lists"),
    Directive::new(
        "TLSClientOCSP",
        "off|leaf|chain [soft-fail] [no_ocsp_for_cert_ok]",
        Context::Host,
        "Which certificates of a client's chain are checked by asking OCSP responders",
    )
    .default("off")
    .counterpart("SSLOCSPEnable")
    .label("OCSP"),
    Directive::new(
        "TLSClientOCSPResponder",
        "none | url [override]",
        Context::Host,
        "OCSP responder for client certificates that name none, or for all of them",
    )
    .default("none")
    .counterpart("SSLOCSPDefaultResponder"),
    Directive::new(
        "TLSUserName",
        "variable",
        Context::HostOrSection,
        "Variable of the client certificate that becomes the name of the user",
    )
    .counterpart("SSLUserName"),
    Directive::new(
        "TLSProxyEngine",
        "on|off",
        Context::Proxy,
        "Use TLS for connections to backends",
    )
    .default("off")
    .counterpart("SSLProxyEngine")
    .label("Backends"),
    Directive::new(
        "TLSProxyCA",
        "file|directory|system|default ...",
        Context::Proxy,
        "PEM files of CA certificates that are trusted to issue certificates of backends",
    )
    .default("system")
    .counterpart("SSLProxyCACertificateFile"),
    Directive::new(
        "TLSProxyVerify",
        "required|none",
        Context::Proxy,
        "Verify the certificates of backends",
    )
    .default("required")
    .counterpart("SSLProxyVerify")
    .label("Verification"),
    Directive::new(
        "TLSProxyCheckPeerName",
        "on|off",
        Context::Proxy,
        "Check that the certificate of a backend is valid for its host name",
    )
    .default("on")
    .counterpart("SSLProxyCheckPeerName"),
    Directive::new(
        "TLSProxyCRL",
        "file|directory ...",
        Context::Proxy,
        "Files of certificate revocation lists for certificates of backends",
    )
    .counterpart("SSLProxyCARevocationFile")
    .label("Revocation list"),
    Directive::new(
        "TLSProxyRevocation",
        "off | fetch [soft-fail] [url ...]",
        Context::Proxy,
        "Fetch the revocation lists that certificates of backends name",
    )
    .default("off")
    .label("Fetched lists"),
    Directive::new(
        "TLSProxyProtocol",
        "version ...",
        Context::Proxy,
        "TLS versions that are used with backends",
    )
    .default("TLSv1.2+")
    .counterpart("SSLProxyProtocol")
    .label("Protocols"),
    Directive::new(
        "TLSProxyCiphersPrefer",
        "cipher-list",
        Context::Proxy,
        "Cipher suites to prefer with backends, in this order",
    )
    .counterpart("SSLProxyCipherSuite"),
    Directive::new(
        "TLSProxyCiphersSuppress",
        "cipher-list",
        Context::Proxy,
        "Cipher suites to disable for backends",
    )
    .counterpart("SSLProxyCipherSuite"),
    Directive::new(
        "TLSProxyMachineCertificate",
        "cert_file [key_file]",
        Context::Proxy,
        "PEM files of a certificate for backends that ask for one, and of its private key",
    )
    .counterpart("SSLProxyMachineCertificateFile")
    .label("Certificate"),
];

/// The row of the directive `name`.
pub fn find(name: &str) -> Option<&'static Directive> {
    TABLE.iter().find(|row| row.name == name)
}

/// The label of the directive `name` in the output of `DUMP_TLS`.
///
/// # Examples
///
/// In a `const` block a directive without label does not compile.
///
/// ```
/// use mod_tls_directives::own;
///
/// assert_eq!(const { own::label("TLSEngine") }, "TLS ports");
/// ```
///
/// # Panics
///
/// There is no such directive, or it has no label.
pub const fn label(name: &str) -> &'static str {
    let mut at = 0;
    while at < TABLE.len() {
        if is_equal(TABLE[at].name.as_bytes(), name.as_bytes()) {
            return TABLE[at].label.expect("the directive has a label");
        }
        at += 1;
    }
    panic!("no such directive")
}

/// `==` for constants.
const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mod_ssl;

    #[test]
    fn counterparts_exist() {
        for directive in TABLE {
            if let Some(counterpart) = directive.counterpart {
                let name = counterpart.split(' ').next().unwrap();
                assert!(mod_ssl::find(name).is_some(), "{}: {counterpart}", directive.name);
            }
        }
    }

    #[test]
    fn labels() {
        assert_eq!(label("TLSClientCA"), "CA");
        assert_eq!(label("TLSClientCANames"), "CA names sent");
    }

    #[test]
    #[should_panic(expected = "no such directive")]
    fn no_such_label() {
        label("TLSClient");
    }
}
