// SPDX-License-Identifier: Apache-2.0
//! Key exchange groups by name: IANA's registry "TLS Supported Groups", and OpenSSL's names.

use rustls::NamedGroup;
use rustls::crypto::SupportedKxGroup;

use crate::base::diagnostics::{Diagnostics, Severity};
use crate::base::directive::Directive;
use crate::base::directive::Located;
use crate::crypto::protocol::Protocols;
use crate::crypto::{ALL_KX_GROUPS, default_provider};

/// A named group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The number in the registry.
    pub id: u16,
    /// The name in the registry.
    pub name: &'static str,
}

/// All groups that are not reserved, with their other names.
const TABLE: &[(u16, &str, &[&str])] = &[
    (21, "secp224r1", &["P-224"]),
    (22, "secp256k1", &[]),
    (23, "secp256r1", &["P-256", "prime256v1"]),
    (24, "secp384r1", &["P-384"]),
    (25, "secp521r1", &["P-521"]),
    (26, "brainpoolP256r1", &[]),
    (27, "brainpoolP384r1", &[]),
    (28, "brainpoolP512r1", &[]),
    (29, "x25519", &[]),
    (30, "x448", &[]),
    (31, "brainpoolP256r1tls13", &[]),
    (32, "brainpoolP384r1tls13", &[]),
    (33, "brainpoolP512r1tls13", &[]),
    (41, "curveSM2", &[]),
    (256, "ffdhe2048", &[]),
    (257, "ffdhe3072", &[]),
    (258, "ffdhe4096", &[]),
    (259, "ffdhe6144", &[]),
    (260, "ffdhe8192", &[]),
    (512, "MLKEM512", &[]),
    (513, "MLKEM768", &[]),
    (514, "MLKEM1024", &[]),
    (4587, "SecP256r1MLKEM768", &[]),
    (4588, "X25519MLKEM768", &[]),
    (4589, "SecP384r1MLKEM1024", &[]),
    (4590, "curveSM2MLKEM768", &[]),
];

/// Parses a list of groups whose names are separated by `:` or white space.
///
/// # Examples
///
/// ```
/// use mod_tls_core::base::diagnostics::Origin;
/// use mod_tls_core::base::directive::Directive;
/// use mod_tls_core::crypto::groups;
///
/// let directive = Directive {
///     name: "TLSGroupsPrefer".to_owned(),
///     args: vec!["x25519:P-256".to_owned()],
///     origin: Origin { file: "httpd.conf".into(), line: 3 },
///     in_section: false,
/// };
/// let groups = groups::parse_list(&directive).expect("both are known");
/// assert_eq!((groups[0].id, groups[1].name), (0x001d, "secp256r1"));
/// ```
pub fn parse_list(directive: &Directive) -> Result<Vec<Group>, String> {
    let names = directive.args.iter().flat_map(|arg| arg.split([':', ' ', '\t']));
    let groups: Vec<Group> = names
        .filter(|name| !name.is_empty())
        .map(parse)
        .collect::<Result<_, _>>()?;
    match groups.is_empty() {
        true => Err("takes names of groups, such as X25519MLKEM768 or secp256r1".to_owned()),
        false => Ok(groups),
    }
}

pub(crate) fn parse(name: &str) -> Result<Group, String> {
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    let found = TABLE
        .iter()
        .find(|(_, iana, others)| is(iana) || others.iter().any(|other| is(other)));
    if let Some(&(id, name, _)) = found {
        return Ok(Group { id, name });
    }
    let supported: Vec<&str> = ALL_KX_GROUPS.iter().filter_map(|group| name_of(group.name())).collect();
    Err(format!(
        "\"{name}\" is not a known group; the known groups are {}",
        supported.join(", ")
    ))
}

/// The IANA name of a group.
pub fn name_of(group: NamedGroup) -> Option<&'static str> {
    let id = u16::from(group);
    TABLE
        .iter()
        .find(|(known, _, _)| *known == id)
        .map(|(_, name, _)| *name)
}

/// Settings for groups.
#[derive(Clone, Debug, Default)]
pub struct GroupSettings {
    /// Preferred groups, in this order: `TLSGroupsPrefer`.
    pub prefer: Option<Located<Vec<Group>>>,
    /// Disabled groups: `TLSGroupsSuppress`.
    pub suppress: Option<Located<Vec<Group>>>,
    /// The only enabled groups: `SSLOpenSSLConfCmd Groups`.
    pub only: Option<Located<Vec<Group>>>,
}

impl GroupSettings {
    /// These settings, with those of `base` for settings that are not set.
    pub fn inherit(self, base: &Self) -> Self {
        Self {
            prefer: self.prefer.or_else(|| base.prefer.clone()),
            suppress: self.suppress.or_else(|| base.suppress.clone()),
            only: self.only.or_else(|| base.only.clone()),
        }
    }

    /// The numbers of the groups in `groups` that take precedence over the client's order. With mod_ssl, the setting
    /// for the order of suites also applies to groups.
    pub(crate) fn preferred(&self, groups: &[&'static dyn SupportedKxGroup], honor_client_order: bool) -> Vec<u16> {
        let ordered = self.only.iter().filter(|_| !honor_client_order);
        let wanted = self.prefer.iter().chain(ordered).flat_map(|said| &said.value);
        wanted
            .filter(|wanted| groups.iter().any(|group| is(*group, **wanted)))
            .map(|wanted| wanted.id)
            .collect()
    }

    /// The groups of server `index` in its order. Preferred groups are first, also those that are disabled by default.
    /// TLS 1.2 supports only curves (RFC 8422) and is disabled if none of them is left. None if an error was reported.
    pub(crate) fn arrange(
        &self,
        diagnostics: &mut Diagnostics,
        index: usize,
        protocols: &mut Protocols,
    ) -> Option<Vec<&'static dyn SupportedKxGroup>> {
        let mut groups: Vec<&'static dyn SupportedKxGroup> = Vec::new();
        if let Some(said) = &self.only {
            let named = said.value.iter().filter_map(|wanted| find(*wanted));
            return self.check(diagnostics, index, protocols, said, named.collect());
        }
        if let Some(said) = &self.prefer {
            for wanted in &said.value {
                match find(*wanted) {
                    Some(group) => groups.push(group),
                    None => {
                        let text = format!(
                            "TLSGroupsPrefer: {} is known but not supported, and will not be used",
                            wanted.name
                        );
                        diagnostics.report(Severity::Warning, index, Some(&said.origin), text);
                    }
                }
            }
        }
        for group in default_provider().kx_groups {
            if !groups.iter().any(|known| known.name() == group.name()) {
                groups.push(group);
            }
        }
        let Some(said) = &self.suppress else {
            return Some(groups);
        };
        groups.retain(|group| !said.value.iter().any(|unwanted| is(*group, *unwanted)));
        self.check(diagnostics, index, protocols, said, groups)
    }

    /// The remaining groups after the directive `said` has removed some, if they are sufficient.
    fn check(
        &self,
        diagnostics: &mut Diagnostics,
        index: usize,
        protocols: &mut Protocols,
        said: &Located<Vec<Group>>,
        groups: Vec<&'static dyn SupportedKxGroup>,
    ) -> Option<Vec<&'static dyn SupportedKxGroup>> {
        let mut report = |severity, text: &str| diagnostics.report(severity, index, Some(&said.origin), text);
        if groups.is_empty() {
            report(Severity::Error, "TLSGroupsSuppress leaves no group at all");
            return None;
        }
        if protocols.tls12 && !groups.iter().any(|group| is_curve(group.name())) {
            if !protocols.tls13 {
                report(
                    Severity::Error,
                    "TLSGroupsSuppress leaves no group of TLSv1.2, the only version that is spoken",
                );
                return None;
            }
            let text = "TLSGroupsSuppress leaves no group of TLSv1.2: it will not be spoken";
            report(Severity::Notice, text);
            protocols.tls12 = false;
        }
        Some(groups)
    }
}

/// Whether a group can be used.
pub(crate) fn is_supported(group: Group) -> bool {
    find(group).is_some()
}

fn find(wanted: Group) -> Option<&'static dyn SupportedKxGroup> {
    ALL_KX_GROUPS.iter().copied().find(|group| is(*group, wanted))
}

fn is(group: &dyn SupportedKxGroup, wanted: Group) -> bool {
    u16::from(group.name()) == wanted.id
}

/// Whether a group has a post-quantum part.
pub(crate) fn is_post_quantum(group: NamedGroup) -> bool {
    matches!(
        group,
        NamedGroup::X25519MLKEM768
            | NamedGroup::secp256r1MLKEM768
            | NamedGroup::MLKEM512
            | NamedGroup::MLKEM768
            | NamedGroup::MLKEM1024
    )
}

/// Whether a group is a curve that TLS 1.2 supports (RFC 8422).
pub(crate) fn is_curve(group: NamedGroup) -> bool {
    u16::from(group) < 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse("x25519mlkem768").unwrap().id, 4588);
        assert_eq!(parse("prime256v1").unwrap().name, "secp256r1");
        assert!(parse("x25518").is_err());
    }

    #[test]
    fn all_supported_groups_have_names() {
        assert!(ALL_KX_GROUPS.iter().all(|group| name_of(group.name()).is_some()));
    }
}
