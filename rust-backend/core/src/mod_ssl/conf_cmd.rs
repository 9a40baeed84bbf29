// SPDX-License-Identifier: Apache-2.0
//! `SSLOpenSSLConfCmd`: some commands for OpenSSL that have an equivalent here. See SSL_CONF_cmd(3).

use rustls::SignatureScheme;

use crate::base::diagnostics::Diagnostics;
use crate::base::directive::{Directive, Located};
use crate::crypto::cipher_string;
use crate::crypto::groups;
use crate::crypto::schemes::name_of;
use crate::mod_ssl::protocol;
use crate::session::resumption::MAX_TICKETS;
use crate::settings::HostSettings;

/// The equivalent of one of `Options`.
enum Meaning {
    Tickets,
    ServerPreference,
    CompressedCertificates,
    /// Always off; to switch it on is an error.
    NeverOn(&'static str),
    /// Always on; to switch it off is an error.
    NeverOff(&'static str),
    Nothing,
}

const OPTIONS: &[(&str, Meaning)] = &[
    ("SessionTicket", Meaning::Tickets),
    ("ServerPreference", Meaning::ServerPreference),
    ("TxCertificateCompression", Meaning::CompressedCertificates),
    ("Compression", Meaning::NeverOn("it makes secrets guessable (CRIME)")),
    (
        "UnsafeLegacyRenegotiation",
        Meaning::NeverOn("it lets others speak for the client (CVE-2009-3555)"),
    ),
    (
        "UnsafeLegacyServerConnect",
        Meaning::NeverOn("it lets others speak for the client (CVE-2009-3555)"),
    ),
    ("ClientRenegotiation", Meaning::NeverOn("rustls never renegotiates")),
    (
        "ExtendedMasterSecret",
        Meaning::NeverOff("rustls always uses it where the client does (RFC 7627)"),
    ),
    ("EncryptThenMac", Meaning::Nothing),
    ("EmptyFragments", Meaning::Nothing),
    ("Bugs", Meaning::Nothing),
    ("DHSingle", Meaning::Nothing),
    ("ECDHSingle", Meaning::Nothing),
    ("NoRenegotiation", Meaning::Nothing),
    ("NoResumptionOnRenegotiation", Meaning::Nothing),
    ("PrioritizeChaCha", Meaning::Nothing),
    ("AllowNoDHEKEX", Meaning::Nothing),
    ("PreferNoDHEKEX", Meaning::Nothing),
    ("MiddleboxCompat", Meaning::Nothing),
    ("AntiReplay", Meaning::Nothing),
    ("KTLS", Meaning::Nothing),
    ("RxCertificateCompression", Meaning::Nothing),
];

pub(super) fn read(
    diagnostics: &mut Diagnostics,
    directive: &Directive,
    host: &mut HostSettings,
) -> Result<(), String> {
    let words = directive.words();
    let &[command, value] = words.as_slice() else {
        return Err("takes a command and its value".to_owned());
    };
    match command.to_ascii_lowercase().as_str() {
        "groups" | "curves" => group_list(diagnostics, directive, value, host)?,
        "signaturealgorithms" => {
            let schemes = signature_schemes(value)?;
            host.policy.signatures = Some(Located::new(directive, schemes));
        }
        "minprotocol" => host.policy.min_protocol = Some(version(command, value)?),
        "maxprotocol" => host.policy.max_protocol = Some(version(command, value)?),
        "protocol" => {
            let versions: Vec<&str> = value.split(',').map(str::trim).collect();
            let (protocols, _) = protocol::parse(&versions).map_err(|why| format!("{command} {why}"))?;
            host.policy.protocols = Some(Located::new(directive, protocols));
        }
        "cipherstring" => {
            let evaluated = cipher_string::evaluate(value, &cipher_string::supported_tls12())
                .map_err(|why| format!("{command}: {why}"))?;
            host.policy.only_suites.tls12 = Some(Located::new(directive, evaluated.suites));
        }
        "ciphersuites" => {
            host.policy.only_suites.tls13 = Some(Located::new(directive, cipher_string::tls13(value).suites))
        }
        "numtickets" => {
            let count = value
                .parse::<usize>()
                .map_err(|_| format!("{command} takes a number, not \"{value}\""))?;
            host.policy.sessions.count = Some(count.min(MAX_TICKETS));
        }
        "options" => {
            for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                option(diagnostics, directive, word, host)?;
            }
        }
        "dhparameters" | "ecdhparameters" | "recordpadding" => nothing(diagnostics, directive, command),
        _ => {
            return Err(format!(
                "{command}: this is not OpenSSL, and the command is not supported: remove it, or see \
                 docs/moving-from-mod_ssl.md for the commands that are"
            ));
        }
    }
    Ok(())
}

/// Reports that a command, or one of `Options`, has no effect.
fn nothing(diagnostics: &mut Diagnostics, directive: &Directive, what: &str) {
    let text = format!(
        "{} {what} has no effect: there is nothing here that it could change",
        directive.name
    );
    diagnostics.deviate(&directive.origin, &directive.name, text);
}

fn option(
    diagnostics: &mut Diagnostics,
    directive: &Directive,
    word: &str,
    host: &mut HostSettings,
) -> Result<(), String> {
    let (on, name) = match word.as_bytes()[0] {
        b'-' => (false, &word[1..]),
        b'+' => (true, &word[1..]),
        _ => (true, word),
    };
    let (known, meaning) = OPTIONS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .ok_or_else(|| format!("Options {word}: this option of OpenSSL is not supported: remove it"))?;
    match meaning {
        Meaning::Tickets => host.policy.sessions.tickets = Some(Located::new(directive, on)),
        Meaning::ServerPreference => host.policy.honor_client_order = Some(!on),
        Meaning::CompressedCertificates => host.policy.compression = Some(on),
        Meaning::NeverOn(why) if on => return Err(format!("Options {word}: {why}, and does not exist here")),
        Meaning::NeverOff(why) if !on => return Err(format!("Options {word}: {why}")),
        _ => nothing(diagnostics, directive, &format!("Options {known}")),
    }
    Ok(())
}

/// `Groups`: names joined by colons; unknown ones after a question mark are ignored, as in OpenSSL.
fn group_list(
    diagnostics: &mut Diagnostics,
    directive: &Directive,
    value: &str,
    host: &mut HostSettings,
) -> Result<(), String> {
    if value.eq_ignore_ascii_case("auto") {
        nothing(diagnostics, directive, "Groups auto");
        return Ok(());
    }
    let mut list = Vec::new();
    for word in value.split([':', '/']).filter(|word| !word.is_empty()) {
        let name = word.trim_start_matches(['?', '*']);
        match groups::parse(name) {
            Ok(group) if groups::is_supported(group) => list.push(group),
            Err(why) if !word.contains('?') => return Err(why),
            _ => {
                let text = format!("{} Groups: {name} is not spoken here", directive.name);
                diagnostics.deviate(&directive.origin, &directive.name, text);
            }
        }
    }
    if list.is_empty() {
        return Err(format!("Groups {value}: none of them is spoken here"));
    }
    host.policy.groups.only = Some(Located::new(directive, list));
    Ok(())
}

/// The number of a protocol version in TLS.
fn version(command: &str, value: &str) -> Result<u16, String> {
    match value.to_ascii_lowercase().as_str() {
        "none" | "sslv3" | "tlsv1" | "tlsv1.1" if command.eq_ignore_ascii_case("MinProtocol") => Ok(0x0303),
        "none" if command.eq_ignore_ascii_case("MaxProtocol") => Ok(0x0304),
        "tlsv1.2" => Ok(0x0303),
        "tlsv1.3" => Ok(0x0304),
        _ => Err(format!("{command} {value}: only TLSv1.2 and TLSv1.3 are spoken here")),
    }
}

/// The schemes with OpenSSL's names, besides those of IANA.
const SIGNATURES: &[(SignatureScheme, &[&str])] = &[
    (SignatureScheme::RSA_PKCS1_SHA256, &["RSA+SHA256"]),
    (SignatureScheme::RSA_PKCS1_SHA384, &["RSA+SHA384"]),
    (SignatureScheme::RSA_PKCS1_SHA512, &["RSA+SHA512"]),
    (SignatureScheme::RSA_PSS_SHA256, &["RSA-PSS+SHA256", "PSS+SHA256"]),
    (SignatureScheme::RSA_PSS_SHA384, &["RSA-PSS+SHA384", "PSS+SHA384"]),
    (SignatureScheme::RSA_PSS_SHA512, &["RSA-PSS+SHA512", "PSS+SHA512"]),
    (SignatureScheme::ECDSA_NISTP256_SHA256, &["ECDSA+SHA256"]),
    (SignatureScheme::ECDSA_NISTP384_SHA384, &["ECDSA+SHA384"]),
    (SignatureScheme::ECDSA_NISTP521_SHA512, &["ECDSA+SHA512"]),
    (SignatureScheme::ED25519, &[]),
];

/// Signature algorithms of TLS that are ignored, because they are not supported here.
const NEVER_SIGNED: [&str; 12] = [
    "ed448",
    "rsa_pss_pss_sha256",
    "rsa_pss_pss_sha384",
    "rsa_pss_pss_sha512",
    "ecdsa_sha1",
    "rsa_pkcs1_sha1",
    "ECDSA+SHA1",
    "RSA+SHA1",
    "DSA+SHA1",
    "DSA+SHA256",
    "ECDSA+SHA224",
    "RSA+SHA224",
];

fn signature_schemes(value: &str) -> Result<Vec<SignatureScheme>, String> {
    let mut schemes = Vec::new();
    for name in value.split(':').filter(|name| !name.is_empty()) {
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        match SIGNATURES
            .iter()
            .find(|(scheme, others)| name_of(*scheme).is_some_and(is) || others.iter().any(|other| is(other)))
        {
            Some((scheme, _)) => schemes.push(*scheme),
            None if NEVER_SIGNED.iter().any(|known| is(known)) => {}
            None => return Err(format!("SignatureAlgorithms: \"{name}\" is no algorithm that is known")),
        }
    }
    match schemes.is_empty() {
        true => Err(format!(
            "SignatureAlgorithms {value}: nothing here signs by any of them"
        )),
        false => Ok(schemes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostics::Origin;

    fn read_line(args: &[&str]) -> Result<(HostSettings, usize), String> {
        let directive = Directive {
            name: "SSLOpenSSLConfCmd".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            origin: Origin {
                file: "test.conf".into(),
                line: 1,
            },
            in_section: false,
        };
        let (mut diagnostics, mut host) = (Diagnostics::default(), HostSettings::default());
        read(&mut diagnostics, &directive, &mut host)?;
        Ok((host, diagnostics.deviations().len()))
    }

    #[test]
    fn commands() {
        let (host, _) = read_line(&["Options", "-SessionTicket,ServerPreference, Bugs"]).unwrap();
        assert!(!host.policy.sessions.tickets.as_ref().unwrap().value && host.policy.honor_client_order == Some(false));
        let (host, deviations) = read_line(&["groups", "X25519:secp384r1:?nonsense:X448"]).unwrap();
        let names: Vec<_> = host
            .policy
            .groups
            .only
            .as_ref()
            .unwrap()
            .value
            .iter()
            .map(|group| group.name)
            .collect();
        assert_eq!((names.as_slice(), deviations), (&["x25519", "secp384r1"][..], 2));
        let (host, _) = read_line(&["SignatureAlgorithms", "ecdsa_secp256r1_sha256:RSA+SHA256:ed448"]).unwrap();
        assert_eq!(host.policy.signatures.as_ref().unwrap().value.len(), 2);
        let (host, _) = read_line(&["MinProtocol", "TLSv1.3"]).unwrap();
        assert_eq!(host.policy.min_protocol, Some(0x0304));
        assert!(read_line(&["MaxProtocol", "TLSv1.1"]).is_err());
        for wrong in [
            &["Options", "UnsafeLegacyRenegotiation"][..],
            &["Options", "Nonsense"],
            &["Groups", "nonsense"],
            &["Groups", "X448"],
            &["VerifyMode", "Peer"],
            &["SignatureAlgorithms", "ed448"],
            &["Groups"],
        ] {
            assert!(read_line(wrong).is_err(), "{wrong:?}");
        }
    }
}
