// SPDX-License-Identifier: Apache-2.0
//! Translation of directive names in messages, for servers that load only mod_ssl's directives.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use mod_tls_directives::own;

/// What messages name besides the directives of the table: the prefix of those about backends, and a setting that only mod_ssl
/// has.
const FURTHER_COUNTERPARTS: &[(&str, &str)] =
    &[("TLSProxy", "SSLProxy"), ("TLSProxyVerifyDepth", "SSLProxyVerifyDepth")];

/// Whether the process has only mod_ssl's directives.
static IS_MOD_SSLS: AtomicBool = AtomicBool::new(false);

/// The version of httpd, which is also that of its mod_ssl.
static HTTPD_VERSION: OnceLock<String> = OnceLock::new();

/// Sets whether the process has only mod_ssl's directives, and the version of httpd, for example `2.4.71`.
pub fn choose(is_mod_ssls: bool, httpd_version: &str) {
    HTTPD_VERSION.get_or_init(|| httpd_version.to_owned());
    IS_MOD_SSLS.store(is_mod_ssls, Ordering::Relaxed);
}

/// The name and version that mod_ssl reports, if this module replaces it. Applications may check it.
pub fn mod_ssls_name() -> Option<String> {
    let version = HTTPD_VERSION.get()?;
    IS_MOD_SSLS
        .load(Ordering::Relaxed)
        .then(|| format!("mod_ssl/{version}"))
}

/// The message `text` with the directive names of this process.
pub fn worded(text: &str) -> Cow<'_, str> {
    match IS_MOD_SSLS.load(Ordering::Relaxed) && text.contains("TLS") {
        true => Cow::Owned(translate(text)),
        false => Cow::Borrowed(text),
    }
}

fn translate(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric();
    let mut translated = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from_here) = rest.split_at(start);
        let end = from_here.find(|c| !is_part(c)).unwrap_or(from_here.len());
        let (word, after) = from_here.split_at(end);
        translated.push_str(before);
        translated.push_str(counterpart(word).unwrap_or(word));
        rest = after;
    }
    translated.push_str(rest);
    translated
}

/// What an administrator with mod_ssl's directives writes instead of the directive `name`.
fn counterpart(name: &str) -> Option<&'static str> {
    let row = own::find(name).and_then(|directive| directive.counterpart);
    row.or_else(|| {
        let further = FURTHER_COUNTERPARTS.iter().find(|(ours, _)| *ours == name);
        further.map(|(_, theirs)| *theirs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_translated() {
        assert_eq!(
            translate("TLSClientCRLCheck needs TLSClientCRL: TLSv1.2 (TLSClientCA), the TLSProxy settings"),
            "SSLCARevocationCheck needs SSLCARevocationFile: TLSv1.2 (SSLCACertificateFile), the SSLProxy settings"
        );
        assert_eq!(
            translate("TLSProxyVerifyDepth, TLSPolicy"),
            "SSLProxyVerifyDepth, TLSPolicy"
        );
        assert_eq!(translate(""), "");
        assert_eq!(translate("ümlaut: TLSEngine"), "ümlaut: SSLEngine");
    }
}
