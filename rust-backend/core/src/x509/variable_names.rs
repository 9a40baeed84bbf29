// SPDX-License-Identifier: Apache-2.0
//! The names of all possible variables, so that misspelled names are detected when the configuration is read.

/// The variables with fixed names, apart from those of certificates.
const FIXED: [&str; 26] = [
    "HTTPS",
    "SSL_TLS_SNI",
    "SSL_PROTOCOL",
    "SSL_CIPHER",
    "SSL_CIPHER_USEKEYSIZE",
    "SSL_CIPHER_ALGKEYSIZE",
    "SSL_CIPHER_EXPORT",
    "SSL_SECURE_RENEG",
    "SSL_COMPRESS_METHOD",
    "SSL_KEX",
    "SSL_SESSION_RESUMED",
    "SSL_SESSION_ID",
    "SSL_EARLY_DATA",
    "SSL_TLS_EXPORTER",
    "SSL_TLS_SERVER_END_POINT",
    "SSL_SIGNATURE_SCHEME",
    "SSL_HANDSHAKE_MS",
    "SSL_JA4",
    "SSL_CLIENT_OFFER",
    "SSL_CLIENT_ECH",
    "SSL_CLIENT_GREASE",
    "SSL_CLIENT_VERIFY",
    "SSL_VERSION_INTERFACE",
    "SSL_VERSION_LIBRARY",
    "SSL_CLIENT_CERT_CHAIN_0",
    "SSL_CLIENT_SAN_Email_0",
];

/// Prefixes of the names of certificate variables.
const OWNERS: [&str; 2] = ["SSL_CLIENT_", "SSL_SERVER_"];

/// Suffixes of certificate variables without components.
const SINGLE: [&str; 13] = [
    "M_VERSION",
    "M_SERIAL",
    "V_START",
    "V_END",
    "V_REMAIN",
    "S_DN",
    "I_DN",
    "A_SIG",
    "A_KEY",
    "CERT",
    "CERT_RFC4523_CEA",
    "CERT_SHA256",
    "SPKI_SHA256",
];

const SAN_KINDS: [&str; 4] = ["Email", "DNS", "OTHER_msUPN", "OTHER_dnsSRV"];

/// Returns an error with the most similar name if no variable can have this name.
pub(crate) fn check(name: &str) -> Result<(), String> {
    if exists(name) {
        return Ok(());
    }
    let mend = match nearest(name) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "such as SSL_CLIENT_S_DN_CN or SSL_CLIENT_SAN_Email_0 (docs/variables.md has them all)".to_owned(),
    };
    Err(format!(
        "takes the name of a variable, and none is called \"{name}\": {mend}"
    ))
}

fn exists(name: &str) -> bool {
    let of_certificate = OWNERS.iter().find_map(|owner| name.strip_prefix(owner));
    let in_chain = name.strip_prefix("SSL_CLIENT_CERT_CHAIN_");
    FIXED.contains(&name) || in_chain.is_some_and(is_number) || of_certificate.is_some_and(is_of_certificate)
}

fn is_of_certificate(rest: &str) -> bool {
    let part = rest.strip_prefix("S_DN_").or_else(|| rest.strip_prefix("I_DN_"));
    let alternative = rest.strip_prefix("SAN_").and_then(|kind| kind.rsplit_once('_'));
    SINGLE.contains(&rest)
        || part.is_some_and(is_part_of_name)
        || alternative.is_some_and(|(kind, number)| SAN_KINDS.contains(&kind) && is_number(number))
}

/// `CN`, `CN_1`, `CN_RAW`, `CN_1_RAW`, and the same with an OID.
fn is_part_of_name(part: &str) -> bool {
    let part = part.strip_suffix("_RAW").unwrap_or(part);
    let attribute = match part.rsplit_once('_') {
        Some((attribute, number)) if is_number(number) => attribute,
        _ => part,
    };
    let is_oid = attribute.contains('.') && attribute.split('.').all(is_number);
    is_oid || crate::x509::name_parts().any(|known| known == attribute)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// The variable with the smallest edit distance to `name`, which is at most a third of its length, or a variable whose
/// name contains `name`.
fn nearest(name: &str) -> Option<String> {
    let wanted = name.to_ascii_uppercase();
    let of_certificates = OWNERS.iter().flat_map(|owner| {
        let parts = ["S_DN_", "I_DN_"]
            .into_iter()
            .flat_map(|dn| crate::x509::name_parts().map(move |part| format!("{dn}{part}")));
        let names = SINGLE.iter().map(|name| (*name).to_owned());
        let alternative = SAN_KINDS.iter().map(|kind| format!("SAN_{kind}_0"));
        names
            .chain(parts)
            .chain(alternative)
            .map(move |rest| format!("{owner}{rest}"))
    });
    let all = FIXED.iter().map(|name| (*name).to_owned()).chain(of_certificates);
    let distance = |known: &str| {
        let known = known.to_ascii_uppercase();
        match known.strip_suffix(&wanted) {
            // `CN`, `S_DN_CN`: only the start of the name is missing.
            Some(before) if before.ends_with('_') && !wanted.is_empty() => 1,
            _ => strsim::levenshtein(&known, &wanted),
        }
    };
    all.filter(|known| known.len().abs_diff(wanted.len()) * 3 <= known.len() || wanted.len() < known.len())
        .map(|known| (distance(&known), known))
        .filter(|(distance, known)| distance * 3 <= known.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_are_documented_exist() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/variables.md");
        let text = std::fs::read_to_string(path).unwrap();
        let columns = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('|').next());
        let names: Vec<&str> = columns.flat_map(|column| column.split([' ', ',', '`'])).collect();
        let names = names.into_iter().filter(|name| name.len() > 1 && name.is_ascii());
        let mut count = 0;
        for name in names {
            let name = name.replace("DN_x", "DN_CN").replace("_n", "_0");
            assert_eq!(check(&name), Ok(()));
            count += 1;
        }
        assert!(count > 30, "{count}");
    }

    #[test]
    fn forms() {
        for name in [
            "SSL_CLIENT_S_DN_CN_1",
            "SSL_CLIENT_S_DN_CN_RAW",
            "SSL_CLIENT_S_DN_CN_1_RAW",
            "SSL_CLIENT_S_DN_2.5.4.97",
            "SSL_SERVER_I_DN_SerialNumber",
            "SSL_CLIENT_CERT_CHAIN_12",
            "SSL_CLIENT_SAN_OTHER_msUPN_0",
        ] {
            assert_eq!(check(name), Ok(()));
        }
        for (name, meant) in [
            ("SSL_CLIENT_S_DN_NC", "SSL_CLIENT_S_DN_"),
            ("SSL_CLIENT_S_CN", "did you mean SSL_CLIENT_S_DN"),
            ("ssl_client_s_dn_cn", "did you mean SSL_CLIENT_S_DN_CN?"),
            ("SSL_CLIENT_SAN_EMAIL_0", "did you mean SSL_CLIENT_SAN_Email_0?"),
            ("SSL_CLIENT_SAN_Email", "did you mean SSL_CLIENT_SAN_Email_0?"),
            ("CN", "did you mean SSL_CLIENT_S_DN_CN?"),
            ("REMOTE_ADDR", "such as SSL_CLIENT_S_DN_CN"),
            ("", "such as SSL_CLIENT_S_DN_CN"),
        ] {
            let error = check(name).unwrap_err();
            assert!(error.contains(meant), "{error}");
        }
    }
}
