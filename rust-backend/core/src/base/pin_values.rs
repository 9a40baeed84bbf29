// SPDX-License-Identifier: Apache-2.0
//! PINs of tokens that are in the configuration: `pin-value` of PKCS#11 URIs (RFC 7512 section 2.4).

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

/// The URIs with a `pin-value`. Everything else has them without it, so that no message and no description can show a PIN.
///
/// `Debug` shows nothing. The PINs are erased from memory when this is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PinValues(BTreeMap<String, Zeroizing<String>>);

impl PinValues {
    /// Notes that `complete` is the URI with its PIN for `shown`, the one without it.
    pub(crate) fn note(&mut self, shown: String, complete: &str) {
        self.0.insert(shown, Zeroizing::new(complete.to_owned()));
    }

    /// The URI with its PIN, if that is known, for the URI without it.
    pub(crate) fn complete(&self, uri: &str) -> Zeroizing<String> {
        let known = self.0.get(uri).cloned();
        known.unwrap_or_else(|| Zeroizing::new(uri.to_owned()))
    }
}

impl fmt::Debug for PinValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinValues").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_found_and_not_shown() {
        let text = "pkcs11:token=web;object=www?pin-value=84%2317";
        let mut pins = PinValues::default();
        pins.note("pkcs11:token=web;object=www".to_owned(), text);
        assert_eq!(*pins.complete("pkcs11:token=web;object=www"), text);
        assert_eq!(*pins.complete("pkcs11:token=other"), "pkcs11:token=other");
        assert!(!format!("{pins:?}").contains("84"));
    }
}
