// SPDX-License-Identifier: Apache-2.0
//! The rows of the tables of directives in C: the text of `tls_directive_rows.h`.

use std::fmt::Write;

use crate::{Context, Directive, Parsing, mod_ssl, own};

const INTRODUCTION: &str = "\
/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives of both module records. Generated from rust-backend/directives: change them there.
 *
 * Each macro is a list of rows, KIND(\"name\", \"description\"). The file that uses the lists defines the kinds as macros. Each
 * gives a command_rec with the handler and the contexts of its directives, and the comma behind it:
 *
 *   TLS_SERVER        RSRC_CONF               server config, virtual host
 *   TLS_PROXY         RSRC_CONF | PROXY_CONF  server config, virtual host, <Proxy>
 *   TLS_AUTH_ROW      RSRC_CONF | OR_AUTHCFG  server config, virtual host, directory, .htaccess (AuthConfig)
 *   TLS_SECTION       OR_AUTHCFG              directory, .htaccess (AuthConfig)
 *   TLS_EXPRESSION    OR_AUTHCFG              the same, with the arguments as raw text
 *   TLS_OPTIONS_ROW   OR_OPTIONS              server config, virtual host, directory, .htaccess (Options)
 *   TLS_ANYWHERE      OR_ALL                  server config, virtual host, directory, .htaccess
 */
#pragma once
";

/// The header. It defines the lists `TLS_OWN_DIRECTIVES` and `TLS_MOD_SSL_DIRECTIVES`.
///
/// ```
/// let text = mod_tls_directives::header::text();
///
/// assert!(text.contains(r#"TLS_PROXY("TLSProxyEngine", "Use TLS for connections to backends")"#));
/// ```
pub fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (name, table) in [
        ("TLS_OWN_DIRECTIVES", own::TABLE),
        ("TLS_MOD_SSL_DIRECTIVES", mod_ssl::TABLE),
    ] {
        let rows: Vec<String> = table.iter().map(row).collect();
        // Writing to a string does not fail.
        let _ = write!(text, "\n#define {name} \\\n    {}\n", rows.join(" \\\n    "));
    }
    text
}

fn row(directive: &Directive) -> String {
    let Directive { name, description, .. } = directive;
    format!("{}({}, {})", kind(directive), literal(name), literal(description))
}

/// The macro that makes a row of the directive.
fn kind(directive: &Directive) -> &'static str {
    match (directive.context, directive.parsing) {
        (Context::Section, Parsing::Raw) => "TLS_EXPRESSION",
        (_, Parsing::Raw) => panic!("{}: no kind of row has raw arguments there", directive.name),
        // httpd does not tell virtual hosts from the rest of the configuration; the core of the module does.
        (Context::Server | Context::Host, Parsing::Words) => "TLS_SERVER",
        (Context::Proxy, Parsing::Words) => "TLS_PROXY",
        (Context::HostOrSection, Parsing::Words) => "TLS_AUTH_ROW",
        (Context::Section, Parsing::Words) => "TLS_SECTION",
        (Context::Options, Parsing::Words) => "TLS_OPTIONS_ROW",
        (Context::Anywhere, Parsing::Words) => "TLS_ANYWHERE",
    }
}

/// `text` as a string literal of C.
fn literal(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let kind_of = |name| kind(own::find(name).or_else(|| mod_ssl::find(name)).unwrap());
        for (name, expected) in [
            ("TLSEngine", "TLS_SERVER"),
            ("TLSCertificate", "TLS_SERVER"),
            ("TLSProxyCA", "TLS_PROXY"),
            ("TLSClientCertificate", "TLS_AUTH_ROW"),
            ("TLSOptions", "TLS_OPTIONS_ROW"),
            ("SSLRequireSSL", "TLS_SECTION"),
            ("SSLRequire", "TLS_EXPRESSION"),
            ("SSLLog", "TLS_ANYWHERE"),
        ] {
            assert_eq!(kind_of(name), expected, "{name}");
        }
    }

    #[test]
    fn every_directive_has_a_row() {
        let text = text();
        for directive in own::TABLE.iter().chain(mod_ssl::TABLE) {
            assert_eq!(text.matches(&row(directive)).count(), 1, "{}", directive.name);
        }
    }

    /// Every line of a list but the last one continues on the next one.
    #[test]
    fn lists_are_macros() {
        for list in text().split("#define ").skip(1) {
            let lines: Vec<&str> = list.trim_end().lines().collect();
            let (last, others) = lines.split_last().unwrap();
            assert!(last.ends_with("\")"), "{last}");
            assert!(others[0].ends_with("DIRECTIVES \\"), "{}", others[0]);
            assert!(others[1..].iter().all(|line| line.ends_with("\") \\")));
        }
    }

    #[test]
    fn literals_are_escaped() {
        assert_eq!(literal(r#"a "b" \c"#), r#""a \"b\" \\c""#);
    }
}
