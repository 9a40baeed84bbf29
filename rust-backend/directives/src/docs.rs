// SPDX-License-Identifier: Apache-2.0
//! The parts of the documentation that are generated, in Markdown.

use std::fmt::Write;

use crate::{Class, Context, DefaultValue, Directive, mod_ssl};

/// The block at the top of an entry in `docs/directives.md`.
///
/// ```
/// use mod_tls_directives::{docs, own};
///
/// let block = docs::block(own::find("TLSUserName").unwrap());
///
/// assert!(block.ends_with(
///     "- Syntax: `TLSUserName variable`\n\
///      - Default: none\n\
///      - Context: server config, virtual host, directory, .htaccess\n\
///      - Override: AuthConfig\n"
/// ));
/// ```
pub fn block(directive: &Directive) -> String {
    let name = directive.name;
    let default = match directive.default {
        DefaultValue::None => "none".to_owned(),
        DefaultValue::Arguments(arguments) => format!("`{name} {arguments}`"),
        DefaultValue::Depends(text) => text.to_owned(),
    };
    let mut block = format!(
        "- Description: {}\n- Syntax: `{}`\n- Default: {default}\n- Context: {}\n",
        directive.description,
        directive.usage(),
        directive.context.places(),
    );
    if let Some(word) = directive.context.allow_override() {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(block, "- Override: {word}");
    }
    block
}

/// The tables of mod_ssl's directives in `docs/moving-from-mod_ssl.md`: one for each [`Class`].
///
/// ```
/// let tables = mod_tls_directives::docs::mod_ssl_tables();
///
/// assert!(tables.contains("| SSLFIPS | `on\\|off` | Require that all cryptography"));
/// ```
pub fn mod_ssl_tables() -> String {
    let sections = [
        (
            Class::Honoured,
            "Honoured",
            "These have the meaning that they have with mod_ssl, except where a note says otherwise. Defaults are mod_ssl's.",
        ),
        (
            Class::WithoutEffect,
            "Accepted without effect",
            "There is nothing that these could change. One notice at the start names those that are used.",
        ),
        (
            Class::Refused,
            "Refused",
            "With one of these httpd does not start, and says why and what to do instead.",
        ),
    ];
    let mut text = String::new();
    for (class, title, introduction) in sections {
        let _ = write!(
            text,
            "### {title}\n\n{introduction}\n\n| directive | arguments | description | context | notes |\n|---|---|---|---|---|\n"
        );
        for directive in mod_ssl::TABLE.iter().filter(|row| row.class == class) {
            text.push_str(&table_row(directive));
        }
        text.push('\n');
    }
    text
}

fn table_row(directive: &Directive) -> String {
    let arguments = match directive.arguments {
        "" => String::new(),
        arguments => format!("`{arguments}`"),
    };
    let cells = [
        directive.name,
        &arguments,
        directive.description,
        &context(directive.context),
        directive.note,
    ];
    let cells = cells.map(|cell| format!(" {} |", cell.replace('|', "\\|")));
    format!("|{}\n", cells.concat())
}

fn context(context: Context) -> String {
    match context.allow_override() {
        None => context.places().to_owned(),
        Some(word) => format!("{} ({word})", context.places()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own;

    #[test]
    fn defaults() {
        let block_of = |name| block(own::find(name).unwrap());
        assert!(block_of("TLSFIPS").contains("- Default: `TLSFIPS off`\n"));
        assert!(block_of("TLSKeyLogFile").contains("- Default: none\n"));
        assert!(block_of("TLSClientCANames").contains("- Default: the certificates of `TLSClientCA`\n"));
    }

    #[test]
    fn rows() {
        let row_of = |name| table_row(mod_ssl::find(name).unwrap());
        assert_eq!(
            row_of("SSLRequireSSL"),
            "| SSLRequireSSL |  | Refuse requests without TLS | directory, .htaccess (AuthConfig) |  |\n"
        );
        assert!(row_of("SSLVerifyDepth").contains("directory, .htaccess (AuthConfig) |"));
        assert!(row_of("SSLPassPhraseDialog").contains(r"`exec:program` and `\|program`"));
    }
}
