// SPDX-License-Identifier: Apache-2.0

use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> Pkcs11Uri {
    Pkcs11Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn schemes() {
    assert!(Pkcs11Uri::is_one("pkcs11:") && Pkcs11Uri::is_one("PKCS11:token=a"));
    for other in ["", "pkcs11", "pkcs12:", "key.pem", "/pkcs11:", "schl\u{fc}ssel.pem"] {
        assert!(!Pkcs11Uri::is_one(other) && Pkcs11Uri::parse(other).is_err(), "{other}");
    }
}

#[test]
fn all_attributes() {
    let text = "pkcs11:token=a%20b;manufacturer=c;serial=d;model=e;library-manufacturer=f;library-description=g;\
                slot-manufacturer=h;slot-description=i;object=j;id=%01%FF;type=private;slot-id=7;library-version=2.6\
                ?module-path=/usr/lib/m.so&module-name=softhsm2&pin-source=/etc/pin";
    let expected = Pkcs11Uri {
        token: Some("a b".into()),
        manufacturer: Some("c".into()),
        serial: Some("d".into()),
        model: Some("e".into()),
        library_manufacturer: Some("f".into()),
        library_description: Some("g".into()),
        library_version: Some((2, 6)),
        slot_manufacturer: Some("h".into()),
        slot_description: Some("i".into()),
        slot_id: Some(7),
        object: Some("j".into()),
        id: Some(vec![1, 255]),
        kind: Some(ObjectKind::PrivateKey),
        module_path: Some("/usr/lib/m.so".into()),
        module_name: Some("softhsm2".into()),
        pin: Some(PinSource::File("/etc/pin".into())),
    };
    assert_eq!(parsed(text), expected);
    assert_eq!(expected.to_string(), text);
}

/// Examples in the style of RFC 7512 section 3.
#[test]
fn examples() {
    assert_eq!(parsed("pkcs11:"), Pkcs11Uri::default());
    assert_eq!(parsed("pkcs11:id=abc").id.as_deref(), Some(&b"abc"[..]));
    assert_eq!(parsed("pkcs11:object=a&b:c").object.as_deref(), Some("a&b:c"));
    assert_eq!(parsed("pkcs11:token=%c3%a4").token.as_deref(), Some("\u{e4}"));
    assert_eq!(parsed("pkcs11:library-version=3").library_version, Some((3, 0)));
    for source in [
        "file:/etc/a%2520b",
        "file:///etc/a%2520b",
        "file://localhost/etc/a%2520b",
        "/etc/a%20b",
    ] {
        let uri = parsed(&format!("pkcs11:token=t?pin-source={source}"));
        assert!(uri.pin == Some(PinSource::File("/etc/a b".into())), "{source}");
    }
}

#[test]
fn errors_say_the_mend() {
    for (text, part) in [
        ("tokn=a", "perhaps token is meant"),
        ("colour=a", "there are token,"),
        ("token=a?pin-sorce=/a", "perhaps pin-source is meant"),
        ("token=a;pin-value=1", "behind a \"?\""),
        ("?token=a", "before the \"?\""),
        ("token=a;token=b", "token twice"),
        ("token=a;", "no attribute at a \";\""),
        ("token", "name=value"),
        ("token=a b", "\" \" is written %20"),
        ("token=\u{e4}", "is written %C3%A4"),
        ("token=a/b", "\"/\" is written %2F"),
        ("token=%4", "%25 for % itself"),
        ("token=%FF", "is not UTF-8"),
        ("type=key", "there are cert, data, private"),
        ("slot-id=first", "is not a number"),
        ("library-version=two", "is not a version"),
        ("?module-path=m.so", "whole path"),
        ("?module-name=/usr/lib/m.so", "module-path"),
        ("?pin-source=|/bin/pin", "SSLPassPhraseDialog"),
        ("?pin-source=pin.txt", "whole path"),
        ("?pin-source=https:/a", "whole path"),
        ("?pin-source=/a&pin-value=1", "PIN twice"),
        ("?pin-value=a%20#b", "%23 for #"),
    ] {
        let error = Pkcs11Uri::parse(&format!("pkcs11:{text}")).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn no_message_has_a_pin() {
    let uri = parsed("pkcs11:token=t?pin-value=se%20cret");
    assert!(uri.pin == Some(PinSource::Value("se cret".to_owned().into())));
    assert!(!format!("{uri} {uri:?}").contains("cret"));
    for text in [
        "pin-value:secret",
        "pin-value=secret x",
        "pin-value=secret%FF",
        "pin-value=a&secret",
    ] {
        let error = Pkcs11Uri::parse(&format!("pkcs11:?{text}")).expect_err(text);
        assert!(!error.contains("secret"), "{error}");
    }
}

fn path() -> impl Strategy<Value = PathBuf> {
    "/[^\\x00/][^\\x00]{0,9}".prop_map(PathBuf::from)
}

fn uris() -> impl Strategy<Value = Pkcs11Uri> {
    let text = || option::of(".{0,9}");
    let kinds = prop::sample::select(ObjectKind::ALL.to_vec());
    let names = (text(), text(), text(), text(), text(), text());
    let numbers = (
        option::of(any::<(u8, u8)>()),
        option::of(any::<u64>()),
        option::of(kinds),
    );
    let objects = (text(), option::of(prop::collection::vec(any::<u8>(), 0..9)));
    let query = (option::of(path()), option::of("[^/]{1,9}"), option::of(path()));
    (names, numbers, objects, query).prop_map(|(names, numbers, objects, query)| Pkcs11Uri {
        token: names.0,
        manufacturer: names.1,
        serial: names.2,
        model: names.3,
        library_manufacturer: names.4,
        library_description: names.5,
        library_version: numbers.0,
        slot_id: numbers.1,
        kind: numbers.2,
        object: objects.0,
        id: objects.1,
        module_path: query.0,
        module_name: query.1,
        pin: query.2.map(PinSource::File),
        ..Pkcs11Uri::default()
    })
}

proptest! {
    #[test]
    fn display_is_parsed_again(uri in uris()) {
        prop_assert_eq!(&parsed(&uri.to_string()), &uri);
    }

    #[test]
    fn no_text_panics(text in "pkcs11:[a-z;=?&%0-9-]{0,40}\\PC{0,9}") {
        if let Ok(uri) = Pkcs11Uri::parse(&text) {
            prop_assert!(Pkcs11Uri::parse(&uri.to_string()).is_ok());
        }
    }

    #[test]
    fn pins_are_decoded_and_hidden(pin in "\\PC{1,20}") {
        let encoded = percent::encode(pin.as_bytes(), |_| false);
        let uri = parsed(&format!("pkcs11:token=t?pin-value={encoded}"));
        prop_assert!(uri.pin == Some(PinSource::Value(pin.into())));
        prop_assert_eq!(uri.to_string(), "pkcs11:token=t");
    }
}
