// SPDX-License-Identifier: Apache-2.0
//! mod_ssl's directives: what becomes of each. The documentation's list is made of this.

use std::fmt::Write;

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It means what mod_ssl makes of it.
    Honoured,
    /// It is accepted, and there is nothing that it could change.
    WithoutEffect,
    /// It is an error: to go on without it would not be safe, or not what was meant.
    Refused,
}

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Outside of virtual hosts, for all of them.
    Server,
    /// Outside of virtual hosts and in them.
    Host,
    /// The same, and in sections and .htaccess files (AllowOverride AuthConfig).
    HostOrSection,
    /// In sections and .htaccess files (AllowOverride AuthConfig).
    Section,
    /// Anywhere (in .htaccess files: AllowOverride Options).
    Anywhere,
    /// Outside of virtual hosts, in them, and in `<Proxy>` sections.
    Proxy,
}

impl Context {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Host => "server, vhost",
            Self::HostOrSection => "server, vhost, directory, .htaccess",
            Self::Section => "directory, .htaccess",
            Self::Anywhere => "server, vhost, directory, .htaccess",
            Self::Proxy => "server, vhost, proxy",
        }
    }
}

/// A directive of mod_ssl's.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What becomes of it.
    pub class: Class,
    /// Where it may stand.
    pub context: Context,
    /// What there is to know: for a directive that is honoured, where it differs; for the others, why, and the way out.
    pub note: &'static str,
}

const fn honoured(name: &'static str, context: Context, note: &'static str) -> Entry {
    Entry {
        name,
        class: Class::Honoured,
        context,
        note,
    }
}

const fn without_effect(name: &'static str, context: Context, note: &'static str) -> Entry {
    Entry {
        name,
        class: Class::WithoutEffect,
        context,
        note,
    }
}

const fn refused(name: &'static str, context: Context, note: &'static str) -> Entry {
    Entry {
        name,
        class: Class::Refused,
        context,
        note,
    }
}

const OCSP: &str = "it is about asking OCSP responders for the certificates of clients, which is never done";
const STAPLING: &str = "responses are fetched by whoever provides them (mod_md: MDStapling on), by rules of its own";
const SRP: &str = "rustls has no SRP: use client certificates (SSLVerifyClient) or passwords over TLS (AuthType Basic)";
const LOG: &str = "mod_ssl does not have it any more either: use ErrorLog and LogLevel";

/// All directives that mod_ssl 2.4.71 has.
pub const TABLE: &[Entry] = &[
    honoured(
        "SSLCACertificateFile",
        Context::HostOrSection,
        "In a directory it is an error: nothing is renegotiated, so the CAs are those of the virtual host.",
    ),
    honoured(
        "SSLCACertificatePath",
        Context::HostOrSection,
        "As with OpenSSL, what counts are links by hash (`openssl rehash`). They are read at start. In a directory section it \
         is an error, as SSLCACertificateFile is.",
    ),
    honoured("SSLCADNRequestFile", Context::Host, ""),
    honoured(
        "SSLCADNRequestPath",
        Context::Host,
        "All files in the directory are read, whatever their names.",
    ),
    honoured("SSLCARevocationCheck", Context::Host, ""),
    honoured(
        "SSLCARevocationFile",
        Context::Host,
        "PEM or DER. The file is read again when it has changed, without a reload.",
    ),
    honoured(
        "SSLCARevocationPath",
        Context::Host,
        "As with OpenSSL, what counts are links by hash (`openssl rehash`). A list that has changed is read again; one with a \
         new name is found by a reload.",
    ),
    honoured(
        "SSLCertificateChainFile",
        Context::Host,
        "For certificates whose own file has no issuers. As with OpenSSL, issuers are also looked for among the CAs of \
         SSLCACertificateFile and SSLCACertificatePath.",
    ),
    honoured(
        "SSLCertificateFile",
        Context::Host,
        "RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) and Ed25519, in PEM. Of two with the same kind of key the last \
         one counts. DH parameters and curves in the file are passed over.",
    ),
    honoured(
        "SSLCertificateKeyFile",
        Context::Host,
        "Also encrypted: PKCS#8 with PBES2, and OpenSSL's older form (`DEK-Info`) with AES or 3DES. Keys in hardware \
         (`pkcs11:` and engines) are refused.",
    ),
    honoured(
        "SSLCipherSuite",
        Context::HostOrSection,
        "In OpenSSL's language; Red Hat's `PROFILE=SYSTEM` is `DEFAULT`. Of TLS 1.2 there are the ECDHE suites with AES-GCM and ChaCha20-Poly1305; a list that leaves \
         none of them while TLSv1.2 is spoken is an error. In a directory nothing is renegotiated: a connection whose suite \
         is not in the list gets 403.",
    ),
    without_effect(
        "SSLCompression",
        Context::Host,
        "rustls never compresses; `on` is refused, because it makes secrets guessable (CRIME)",
    ),
    without_effect(
        "SSLCryptoDevice",
        Context::Server,
        "there are no engines; any other than `builtin` is refused: take the key from a file",
    ),
    honoured(
        "SSLEngine",
        Context::Host,
        "`on` and `off`, and implied by `Listen ... https` as with mod_ssl. `optional` (RFC 2817) is refused.",
    ),
    honoured(
        "SSLFIPS",
        Context::Server,
        "`on` needs a module that was configured with --enable-fips: see crypto.md.",
    ),
    honoured("SSLHonorCipherOrder", Context::Host, ""),
    without_effect(
        "SSLInsecureRenegotiation",
        Context::Host,
        "rustls never renegotiates; `on` is refused, because it lets others speak for the client (CVE-2009-3555)",
    ),
    refused("SSLLog", Context::Anywhere, LOG),
    refused("SSLLogLevel", Context::Anywhere, LOG),
    without_effect("SSLOCSPDefaultResponder", Context::Host, OCSP),
    refused(
        "SSLOCSPEnable",
        Context::Host,
        "clients' certificates are not checked by OCSP: use revocation lists (SSLCARevocationFile and SSLCARevocationCheck); \
         `off` is accepted",
    ),
    without_effect("SSLOCSPNoVerify", Context::Host, OCSP),
    without_effect("SSLOCSPOverrideResponder", Context::Host, OCSP),
    without_effect("SSLOCSPProxyURL", Context::Host, OCSP),
    without_effect("SSLOCSPResponderCertificateFile", Context::Host, OCSP),
    without_effect("SSLOCSPResponderTimeout", Context::Host, OCSP),
    without_effect("SSLOCSPResponseMaxAge", Context::Host, OCSP),
    without_effect("SSLOCSPResponseTimeSkew", Context::Host, OCSP),
    without_effect("SSLOCSPUseRequestNonce", Context::Host, OCSP),
    honoured(
        "SSLOpenSSLConfCmd",
        Context::Host,
        "Curves and Groups, SignatureAlgorithms, MinProtocol and MaxProtocol, CipherString, Ciphersuites, and of Options \
         SessionTicket and ServerPreference; DHParameters, ECDHParameters and the Options that switch off what does not exist \
         here have no effect. All others are errors.",
    ),
    honoured(
        "SSLOptions",
        Context::Anywhere,
        "OptRenegotiate has no effect: nothing is renegotiated.",
    ),
    honoured(
        "SSLPassPhraseDialog",
        Context::Server,
        "`builtin`, `exec:` and `|` as with mod_ssl. A program has 300 seconds for each answer; the environment variable \
         MOD_TLS_PASS_PHRASE_TIMEOUT says another number, or 0 for no limit. `httpd -t` asks nobody, and leaves encrypted keys \
         unchecked.",
    ),
    honoured(
        "SSLProtocol",
        Context::Host,
        "Versions before TLSv1.2 are not spoken; to name them beside newer ones is a notice, alone an error.",
    ),
    honoured("SSLProxyCACertificateFile", Context::Proxy, ""),
    honoured("SSLProxyCACertificatePath", Context::Proxy, "As SSLCACertificatePath."),
    honoured("SSLProxyCARevocationCheck", Context::Proxy, ""),
    honoured("SSLProxyCARevocationFile", Context::Proxy, ""),
    honoured("SSLProxyCARevocationPath", Context::Proxy, "As SSLCARevocationPath."),
    honoured("SSLProxyCheckPeerCN", Context::Proxy, ""),
    honoured("SSLProxyCheckPeerExpire", Context::Proxy, ""),
    honoured("SSLProxyCheckPeerName", Context::Proxy, ""),
    honoured("SSLProxyCipherSuite", Context::Proxy, "As SSLCipherSuite."),
    honoured("SSLProxyEngine", Context::Proxy, ""),
    honoured("SSLProxyMachineCertificateChainFile", Context::Proxy, ""),
    honoured(
        "SSLProxyMachineCertificateFile",
        Context::Proxy,
        "Any number of certificates with their keys, which may not be encrypted.",
    ),
    honoured(
        "SSLProxyMachineCertificatePath",
        Context::Proxy,
        "The same, in all files of the directory.",
    ),
    honoured("SSLProxyProtocol", Context::Proxy, "As SSLProtocol."),
    honoured(
        "SSLProxyVerify",
        Context::Proxy,
        "The default is mod_ssl's, `none`: whoever answers is taken for the backend. Where that holds, a warning says so.",
    ),
    honoured("SSLProxyVerifyDepth", Context::Proxy, ""),
    without_effect(
        "SSLRandomSeed",
        Context::Server,
        "the system's random numbers are used, which need no seed",
    ),
    without_effect(
        "SSLRenegBufferSize",
        Context::Section,
        "nothing is renegotiated, so no request body waits for that",
    ),
    honoured(
        "SSLRequire",
        Context::Section,
        "In its own old language, by httpd's parser.",
    ),
    honoured("SSLRequireSSL", Context::Section, ""),
    refused("SSLSRPUnknownUserSeed", Context::Host, SRP),
    refused("SSLSRPVerifierFile", Context::Host, SRP),
    honoured(
        "SSLSessionCache",
        Context::Server,
        "It has the sessions of clients that take no tickets. `nonenotnull` is `none`.",
    ),
    honoured(
        "SSLSessionCacheTimeout",
        Context::Host,
        "Up to seven days; 0 counts as one second.",
    ),
    honoured(
        "SSLSessionTicketKeyFile",
        Context::Host,
        "The file (48 bytes, or nginx' 80) is the seed that the keys of each hour come from: machines that share it and run \
         this module take each other's tickets, machines with mod_ssl do not take theirs.",
    ),
    honoured("SSLSessionTickets", Context::Host, ""),
    without_effect("SSLStaplingCache", Context::Server, STAPLING),
    without_effect("SSLStaplingErrorCacheTimeout", Context::Host, STAPLING),
    without_effect("SSLStaplingFakeTryLater", Context::Host, STAPLING),
    without_effect("SSLStaplingForceURL", Context::Host, STAPLING),
    without_effect("SSLStaplingResponderTimeout", Context::Host, STAPLING),
    without_effect("SSLStaplingResponseMaxAge", Context::Host, STAPLING),
    without_effect("SSLStaplingResponseTimeSkew", Context::Host, STAPLING),
    without_effect("SSLStaplingReturnResponderErrors", Context::Host, STAPLING),
    without_effect("SSLStaplingStandardCacheTimeout", Context::Host, STAPLING),
    honoured("SSLStrictSNIVHostCheck", Context::Host, ""),
    honoured(
        "SSLUseStapling",
        Context::Host,
        "Responses that another module provides are stapled (mod_md: MDStapling on). Without one there are none, which is \
         said at start.",
    ),
    honoured(
        "SSLUserName",
        Context::HostOrSection,
        "Names that no variable has are a warning.",
    ),
    honoured("SSLVHostSNIPolicy", Context::Server, ""),
    honoured(
        "SSLVerifyClient",
        Context::HostOrSection,
        "For a directory the handshake of its virtual host asks every client for a certificate, and the directory decides; \
         request bodies are not touched. In an .htaccess file it can only use what the virtual host asks for.",
    ),
    honoured("SSLVerifyDepth", Context::HostOrSection, ""),
];

/// The entry of the directive `name`, as the documentation spells it.
pub fn find(name: &str) -> Option<&'static Entry> {
    TABLE
        .binary_search_by(|entry| entry.name.cmp(name))
        .ok()
        .map(|at| &TABLE[at])
}

/// The list for the documentation, in Markdown.
pub fn markdown() -> String {
    let sections = [
        (
            Class::Honoured,
            "Honoured",
            "What it does with mod_ssl it does here, except for what the last column says.",
        ),
        (
            Class::WithoutEffect,
            "Accepted without effect",
            "There is nothing that these could change; one notice at start names those that are used.",
        ),
        (
            Class::Refused,
            "Refused",
            "With one of these httpd does not start, and says why and what to do instead.",
        ),
    ];
    let mut text = String::new();
    for (class, title, intro) in sections {
        let _ = write!(
            text,
            "### {title}\n\n{intro}\n\n| directive | context | notes |\n|---|---|---|\n"
        );
        for entry in TABLE.iter().filter(|entry| entry.class == class) {
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                entry.name,
                entry.context.name(),
                entry.note.replace('|', "\\|")
            );
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between these in the documentation is generated.
    const BEGIN: &str = "<!-- begin: generated -->\n\n";
    const END: &str = "<!-- end: generated -->";

    #[test]
    fn entries_are_found() {
        assert!(TABLE.is_sorted_by(|one, other| one.name < other.name));
        assert_eq!(find("SSLEngine").unwrap().class, Class::Honoured);
        assert!(find("SSLNothing").is_none());
        for entry in TABLE.iter().filter(|entry| entry.class != Class::Honoured) {
            assert!(!entry.note.is_empty(), "{}", entry.name);
        }
    }

    /// With `MOD_TLS_WRITE_DOCS` in the environment it writes the list instead.
    #[test]
    fn the_documentation_has_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/moving-from-mod_ssl.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (list, after) = rest.split_once(END).unwrap();
        if std::env::var_os("MOD_TLS_WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", markdown())).unwrap();
        } else {
            assert!(
                list == markdown(),
                "run MOD_TLS_WRITE_DOCS=1 cargo test -p mod-tls-core documentation"
            );
        }
    }
}
