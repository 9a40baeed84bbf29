// SPDX-License-Identifier: Apache-2.0
//! The virtual host of a request, and whether the request may use its connection.
//!
//! A connection is made to the virtual host that the client names in the handshake (SNI), or to the first one of its
//! address. A request may name another host. It is served only if the connection could have been made to that host: a
//! server must refuse requests for which its certificate is not valid (RFC 9110 section 7.4).

use std::sync::Arc;

use crate::config::Config;
use crate::info::connection_info::ConnectionInfo;
use crate::settings::sni_policy::SniPolicy;
use crate::site::Site;

/// The virtual hosts of a connection, by number.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Hosts {
    /// The address of the connection, as [`Config::find_server`] knows it.
    pub chain: usize,
    /// The first virtual host of the address.
    pub first: usize,
    /// The host of the handshake.
    pub connected: usize,
    /// The host of the client's server name. It differs from `connected` only if TLS is not enabled for it.
    pub named: usize,
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Routing {
    /// It is served.
    Serve,
    /// Its virtual host has no certificate yet: 503.
    Unavailable,
    /// Its connection cannot be used for its virtual host: 421 (RFC 9110 section 15.5.20).
    Misdirected,
    /// The request names no host, although the client has sent a server name: 400, as in mod_ssl.
    HostMissing,
    /// The client has sent no server name, which is required (SSLStrictSNIVHostCheck): 403.
    SniMissing,
}

/// The response to a request that is not served.
#[derive(Debug)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The reason, for the error log.
    pub text: String,
    /// Whether the reason is logged at level debug only.
    pub is_detail: bool,
}

impl Routing {
    /// The response to a request for `host`, whose virtual host is `wanted`, on a connection to the virtual host
    /// `connected`; none if it is served. An empty `host` stands for `wanted`.
    pub fn refusal(self, host: &str, wanted: &str, connected: &str) -> Option<Refusal> {
        let host = if host.is_empty() { wanted } else { host };
        let (status, text) = match self {
            Self::Serve => return None,
            Self::HostMissing => (
                400,
                format!("request without a host on a connection to {connected}: 400"),
            ),
            Self::SniMissing => (
                403,
                format!(
                    "request for {host} refused: the client did not name a host in the handshake (SSLStrictSNIVHostCheck)"
                ),
            ),
            Self::Unavailable => (503, format!("{wanted} has no certificate yet: 503")),
            Self::Misdirected => (
                421,
                format!(
                    "request for {host} (virtual host {wanted}) on a connection to {connected}, whose certificate does not \
                     cover the name or whose TLS settings differ: 421"
                ),
            ),
        };
        Some(Refusal {
            status,
            text,
            is_detail: self == Self::Unavailable,
        })
    }
}

impl Config {
    /// Decides about a request for `host` on the connection `info` to `hosts`, and returns its virtual host too. `selected`
    /// is the virtual host that httpd has selected: that of the connection if no host has the name.
    pub fn route(&self, info: &ConnectionInfo, hosts: Hosts, selected: usize, host: Option<&str>) -> (Routing, usize) {
        let is_unknown = selected == hosts.connected && host.is_some_and(|host| !self.is_known(hosts.chain, host));
        let requested = if is_unknown { hosts.first } else { selected };
        (self.judge(info, hosts, requested, host), requested)
    }

    fn judge(&self, info: &ConnectionInfo, hosts: Hosts, requested: usize, host: Option<&str>) -> Routing {
        if host.is_none() && info.sni.is_some() && self.is_ssl(hosts.connected) {
            return Routing::HostMissing;
        }
        if info.sni.is_none() && self.requires_sni(requested, hosts.connected) {
            return Routing::SniMissing;
        }
        if self.site(requested).is_some_and(|site| site.unavailable) {
            return Routing::Unavailable;
        }
        match requested == hosts.connected
            || requested == hosts.named
            || self.agree(info, hosts.connected, requested, host)
        {
            true => Routing::Serve,
            false => Routing::Misdirected,
        }
    }

    /// Whether a virtual host of the address `chain` has the name.
    fn is_known(&self, chain: usize, host: &str) -> bool {
        self.chains.get(&chain).is_none_or(|index| index.find(host).is_some())
    }

    /// Whether a connection to `connected` may be used for a request for `host` to another virtual host, `requested`.
    fn agree(&self, info: &ConnectionInfo, connected: usize, requested: usize, host: Option<&str>) -> bool {
        // Hosts with mod_ssl's directives have a rule of their own.
        let policy = self.sni_policy.or(self.is_ssl(connected).then(SniPolicy::default));
        let (one, other) = match (self.site(connected), self.site(requested)) {
            (Some(one), Some(other)) => (one, other),
            (Some(_), None) => return self.is_ssl(connected) && policy == Some(SniPolicy::Insecure),
            (None, _) => return false,
        };
        let is_covered = |host| info.identity.as_ref().is_some_and(|presented| presented.covers(host));
        policy.is_some_and(|policy| allows(policy, one, other))
            || policy != Some(SniPolicy::Strict)
                && Arc::ptr_eq(one.profile(), other.profile())
                && host.is_some_and(is_covered)
    }
}

/// Whether `SSLVHostSNIPolicy` allows requests for the host `other` on connections to the host `one`.
fn allows(policy: SniPolicy, one: &Site, other: &Site) -> bool {
    let (spec, of_other) = (one.profile().spec(), other.profile().spec());
    match policy {
        SniPolicy::Strict => false,
        SniPolicy::Secure => spec.is_as_secure_as(of_other) && one.has_identities_of(other),
        SniPolicy::AuthOnly => spec.client_auth == of_other.client_auth,
        SniPolicy::Insecure => true,
    }
}
