// SPDX-License-Identifier: Apache-2.0
//! PINs of tokens that are in the configuration.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::keys::pkcs11_uri::{PinSource, Pkcs11Uri};

/// The URIs with a `pin-value`. Everything else has them without it, so that no message and no description can show a PIN.
///
/// `Debug` shows nothing. The PINs are erased from memory when this is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PinValues(BTreeMap<String, Zeroizing<String>>);

impl PinValues {
    /// Notes the PIN of `uri`, which is `text`, if it has one. Returns whether it has.
    pub(crate) fn note(&mut self, uri: &Pkcs11Uri, text: &str) -> bool {
        let has_pin = matches!(uri.pin, Some(PinSource::Value(_)));
        if has_pin {
            self.0.insert(uri.to_string(), Zeroizing::new(text.to_owned()));
        }
        has_pin
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
        let text = "PKCS11:token=web;object=www?pin-value=84%2317";
        let uri = Pkcs11Uri::parse(text).unwrap();
        let mut pins = PinValues::default();
        assert!(pins.note(&uri, text));
        assert_eq!(*pins.complete("pkcs11:token=web;object=www"), text);
        assert_eq!(*pins.complete("pkcs11:token=other"), "pkcs11:token=other");
        assert!(!format!("{pins:?}").contains("84"));
        assert!(!pins.note(
            &Pkcs11Uri::parse("pkcs11:?pin-source=/pin").unwrap(),
            "pkcs11:?pin-source=/pin"
        ));
    }
}
