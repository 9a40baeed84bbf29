// SPDX-License-Identifier: Apache-2.0
//! The cipher suites that mod_ssl's directives leave, for TLS 1.3 and for what was before.

use crate::base::directive::Located;
use crate::crypto::ciphers::Cipher;

/// The only suites that are used, most preferred first; none if not set.
#[derive(Clone, Debug, Default)]
pub struct OnlySuites {
    /// Those of TLS 1.2.
    pub tls12: Option<Located<Vec<&'static Cipher>>>,
    /// Those of TLS 1.3.
    pub tls13: Option<Located<Vec<&'static Cipher>>>,
}

impl OnlySuites {
    /// These lists, with those of `outer` where none is set.
    pub fn inherit(&self, outer: &Self) -> Self {
        Self {
            tls12: self.tls12.clone().or_else(|| outer.tls12.clone()),
            tls13: self.tls13.clone().or_else(|| outer.tls13.clone()),
        }
    }

    /// The list for suites of TLS 1.3, or for the others.
    pub(crate) fn of(&self, tls13: bool) -> Option<&Located<Vec<&'static Cipher>>> {
        match tls13 {
            true => self.tls13.as_ref(),
            false => self.tls12.as_ref(),
        }
    }

    /// The numbers of the suites, for comparisons.
    pub(crate) fn ids(&self) -> [Option<Vec<u16>>; 2] {
        let ids = |said: &Located<Vec<&'static Cipher>>| said.value.iter().map(|cipher| cipher.id).collect();
        [self.tls12.as_ref().map(ids), self.tls13.as_ref().map(ids)]
    }
}
