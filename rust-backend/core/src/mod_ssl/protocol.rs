// SPDX-License-Identifier: Apache-2.0
//! `SSLProtocol` and `SSLProxyProtocol`: versions with `+` or `-` before them.

use crate::crypto::protocol::Protocols;

/// The versions that mod_ssl knows, oldest first.
const VERSIONS: [&str; 5] = ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/// The indices of the supported versions in [`VERSIONS`].
const TLS12: usize = 3;
const TLS13: usize = 4;

/// Parses the arguments of `SSLProtocol`. The second value is the older, unsupported versions that they enable.
pub fn parse(args: &[&str]) -> Result<(Protocols, Vec<&'static str>), String> {
    let mut on = [false; VERSIONS.len()];
    for arg in args {
        let (sign, name) = match arg.as_bytes().first() {
            Some(b'+' | b'-') => arg.split_at(1),
            _ => ("", *arg),
        };
        let meant = versions(name, sign)?;
        if sign.is_empty() {
            on = [false; VERSIONS.len()];
        }
        for (is_on, is_meant) in on.iter_mut().zip(meant) {
            *is_on = if is_meant { sign != "-" } else { *is_on };
        }
    }
    let protocols = Protocols {
        tls12: on[TLS12],
        tls13: on[TLS13],
    };
    let older: Vec<_> = (0..TLS12).filter(|at| on[*at]).map(|at| VERSIONS[at]).collect();
    match (protocols.tls12 || protocols.tls13, older.is_empty()) {
        (true, _) => Ok((protocols, older)),
        (false, true) => Err(format!("{}: that leaves no version at all", args.join(" "))),
        (false, false) => Err(format!(
            "{}: of these only {} would be left, which are not spoken here: add TLSv1.2 and TLSv1.3",
            args.join(" "),
            older.join(", ")
        )),
    }
}

fn versions(name: &str, sign: &str) -> Result<[bool; VERSIONS.len()], String> {
    if name.eq_ignore_ascii_case("all") {
        return Ok([true; VERSIONS.len()]);
    }
    // mod_ssl has no SSLv2 any more, but accepts that it is switched off.
    if name.eq_ignore_ascii_case("SSLv2") && sign == "-" {
        return Ok([false; VERSIONS.len()]);
    }
    let mut meant = [false; VERSIONS.len()];
    match VERSIONS.iter().position(|version| version.eq_ignore_ascii_case(name)) {
        Some(at) => meant[at] = true,
        None => {
            return Err(format!(
                "takes all, {}, each with + or - before it or neither, not \"{sign}{name}\"",
                VERSIONS.join(", ")
            ));
        }
    }
    Ok(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let parse = |text: &str| {
            let words: Vec<&str> = text.split_whitespace().collect();
            parse(&words).map(|(protocols, older)| (protocols.tls12, protocols.tls13, older.len()))
        };
        assert_eq!(parse("all"), Ok((true, true, 3)));
        assert_eq!(parse("all -SSLv3 -TLSv1 -TLSv1.1"), Ok((true, true, 0)));
        assert_eq!(parse("all -SSLv2 -SSLv3"), Ok((true, true, 2)));
        assert_eq!(parse("-all +TLSv1.2"), Ok((true, false, 0)));
        assert_eq!(parse("-ALL +tlsv1.3"), Ok((false, true, 0)));
        assert_eq!(parse("TLSv1.2"), Ok((true, false, 0)));
        assert_eq!(parse("TLSv1.2 TLSv1.3"), Ok((false, true, 0)));
        assert_eq!(parse("TLSv1.2 +TLSv1.3"), Ok((true, true, 0)));
        assert!(parse("TLSv1.1").unwrap_err().contains("TLSv1.1 would be left"));
        assert!(parse("all -all").is_err() && parse("").is_err());
        assert!(parse("+SSLv2").is_err() && parse("all -TLSv1.4").is_err());
    }
}
