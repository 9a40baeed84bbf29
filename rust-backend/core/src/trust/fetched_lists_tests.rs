// SPDX-License-Identifier: Apache-2.0
//! What lists that were fetched say about a certificate.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CrlDistributionPoint,
    DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration as Span, OffsetDateTime};
use webpki::EndEntityCert;

use super::*;
use crate::revocation::shared_table::{self, Writer};

const NOW: i64 = 1_800_000_000;
const URL: &str = "http://ca.test/ca.crl";
const MIRROR: &str = "http://mirror.test/ca.crl";

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign, KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A list that is valid from `begin` to `end`, in days from now.
fn list(ca: &Ca, serials: &[u64], begin: i64, end: i64) -> Result<Vec<u8>, String> {
    let at = |days| OffsetDateTime::from_unix_timestamp(NOW).unwrap() + Span::days(days);
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: at(begin),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: at(begin),
        next_update: at(end),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(ca).unwrap().der().to_vec())
}

struct World {
    ca: Ca,
    writer: Writer,
    table: Reader,
}

impl World {
    fn new() -> Self {
        let (write, read) = shared_table::create("test", 16).unwrap();
        Self {
            ca: ca("CA"),
            writer: Writer::new(write).unwrap(),
            table: Reader::new(read).unwrap(),
        }
    }

    fn publish(&mut self, url: &str, content: Result<Vec<u8>, String>) {
        let list = List {
            content: content.map(Into::into),
        };
        self.writer.put(&List::key_for(url), &list.to_bytes()).unwrap();
    }

    /// What is known about a certificate with the serial number 7 that names these lists.
    fn look_up(&self, lists: &FetchedLists, named: &[&str]) -> Result<Known, Unknown> {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.serial_number = Some(7_u64.into());
        params.crl_distribution_points = named
            .iter()
            .map(|url| CrlDistributionPoint {
                uris: vec![(*url).to_owned()],
            })
            .collect();
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &self.ca).unwrap();
        let parsed = EndEntityCert::try_from(leaf.der()).unwrap();
        let subject = Subject {
            der: leaf.der(),
            issuer: parsed.issuer(),
            serial: parsed.serial(),
            is_leaf: true,
            issuer_der: self.ca.der(),
        };
        lists.look_up(&self.table, &lists.urls(&subject), &subject, NOW)
    }
}

fn lists(words: &[&str]) -> FetchedLists {
    let check = FetchCheck::parse(words).unwrap();
    FetchedLists::new(check, Role::Client, &FetchSettings::default(), None, Arc::default())
}

fn is_revoked(found: &Result<Known, Unknown>) -> bool {
    matches!(found, Ok(Known::Bad(Reason::Revoked, why)) if why.contains("http://"))
}

#[test]
fn a_list_is_asked_for_once_and_then_decides() {
    let mut world = World::new();
    let lists = lists(&["fetch"]);
    let missing = world.look_up(&lists, &[URL]).unwrap_err();
    assert_eq!((missing.reason, missing.url.as_deref()), (Reason::NoCrl, Some(URL)));
    world.publish(URL, list(&world.ca, &[6, 8], -1, 6));
    assert!(matches!(world.look_up(&lists, &[URL]), Ok(Known::Good)));
    // A newer one, without a reload.
    world.publish(URL, list(&world.ca, &[6, 7, 8], 0, 7));
    assert!(is_revoked(&world.look_up(&lists, &[URL])));
}

#[test]
fn lists_of_the_configuration_count_as_well() {
    let mut world = World::new();
    let lists = lists(&["fetch", MIRROR]);
    assert_eq!(world.look_up(&lists, &[URL]).unwrap_err().url.as_deref(), Some(URL));
    assert_eq!(world.look_up(&lists, &[]).unwrap_err().url.as_deref(), Some(MIRROR));
    world.publish(MIRROR, list(&world.ca, &[], -2, 5));
    // The other one is not waited for.
    assert!(matches!(world.look_up(&lists, &[URL]), Ok(Known::Good)));
    // If both are there, the newer one decides.
    world.publish(URL, list(&world.ca, &[7], -1, 6));
    assert!(is_revoked(&world.look_up(&lists, &[URL])));
    world.publish(MIRROR, list(&world.ca, &[], 0, 7));
    assert!(matches!(world.look_up(&lists, &[URL]), Ok(Known::Good)));
}

#[test]
fn a_list_that_has_expired_is_good_for_revoked_ones_only() {
    let mut world = World::new();
    let lists = lists(&["fetch"]);
    world.publish(URL, list(&world.ca, &[], -9, -1));
    let expired = world.look_up(&lists, &[URL]).unwrap_err();
    assert_eq!((expired.reason, &expired.url), (Reason::CrlExpired, &None));
    assert!(expired.text().contains(&format!("{URL} has expired")));
    // One that may be current is asked for.
    let expired = world.look_up(&lists, &[URL, MIRROR]).unwrap_err();
    assert_eq!(expired.url.as_deref(), Some(MIRROR));
    assert!(expired.text().contains("mirror.test/ca.crl was not fetched in time; "));
    world.publish(URL, list(&world.ca, &[7], -9, -1));
    assert!(is_revoked(&world.look_up(&lists, &[URL])));
}

#[test]
fn lists_that_are_not_of_the_issuer_say_nothing() {
    let mut world = World::new();
    let lists = lists(&["fetch"]);
    let same_name = ca("CA");
    for (content, why) in [
        (list(&ca("Another"), &[7], -1, 6), "not a list of its issuer"),
        (list(&same_name, &[], -1, 6), "not a list of its issuer"),
        (Err("the answer is HTTP status 404".to_owned()), "HTTP status 404"),
        (Ok(b"0".repeat(100)), "not a well-formed revocation list"),
        (Ok(Vec::new()), "it is empty"),
    ] {
        world.publish(URL, content);
        let unknown = world.look_up(&lists, &[URL]).unwrap_err();
        assert_eq!((unknown.reason, &unknown.url), (Reason::NoCrl, &None));
        let text = unknown.text();
        assert!(text.contains(why) && text.contains(URL), "{text}");
    }
}

#[test]
fn soft_fail_excuses_unknown_and_nothing_else() {
    let (hard, soft) = (lists(&["fetch"]), lists(&["fetch", "soft-fail"]));
    for reason in [Reason::NoCrl, Reason::CrlExpired] {
        assert!(matches!(hard.unknown(reason, String::new()), Known::Bad(found, _) if found == reason));
        assert!(matches!(soft.unknown(reason, String::new()), Known::Good));
    }
    let mut world = World::new();
    world.publish(URL, list(&world.ca, &[7], -9, -1));
    assert!(is_revoked(&world.look_up(&soft, &[URL])));
    assert!(matches!(hard.names_none(true), Known::Good));
    assert!(matches!(hard.names_none(false), Known::Bad(Reason::NoCrl, _)));
}

#[test]
fn memory_is_bounded() {
    let (world, parsed) = (World::new(), ParsedLists::default());
    let der = list(&world.ca, &[7], -1, 6).unwrap();
    for number in 0..MAX_PARSED + 10 {
        let url = format!("http://ca.test/{number}.crl");
        let crl = parse(&url, &der).unwrap();
        parsed.keep(&url, [0; 32], Arc::new(crl));
    }
    let all = lock(&parsed.0);
    assert_eq!(all.len(), MAX_PARSED);
    assert!(all.contains(&format!("http://ca.test/{}.crl", MAX_PARSED + 9)));
    assert!(!all.contains("http://ca.test/9.crl"));
}

#[test]
fn arguments() {
    for words in [&["off"][..], &["fetch"], &["fetch", "soft-fail", URL, MIRROR]] {
        assert_eq!(FetchCheck::parse(words).unwrap().to_string(), words.join(" "));
    }
    for wrong in [
        &[][..],
        &["on"],
        &["off", URL],
        &["fetch", "softfail"],
        &["fetch", "ldap://ca.test/"],
    ] {
        assert!(FetchCheck::parse(wrong).is_err(), "{wrong:?}");
    }
}
