// SPDX-License-Identifier: Apache-2.0
use std::sync::LazyLock;

use proptest::prelude::*;

use super::families::{ALERTS_SENT, CLIENTS, ClientCertificate, FAILURES};
use super::recent::{AlertDirection, RECORDS, RecentFailure};
use super::*;

const DAY: i64 = 86_400;

fn counters() -> Counters {
    let counters = Counters::default();
    counters.attach(Box::leak((0..CELLS).map(|_| AtomicU64::new(0)).collect()));
    counters
}

fn handshake() -> Handshake {
    Handshake {
        site: SiteKey::of("a.test"),
        version: 0x0303,
        suite: 0xc02f,
        group: Some(29),
        scheme: Some(0x0804),
        resumed: false,
        client: ClientCertificate::Missing as u16,
        needs: Needs {
            tls12: true,
            rsa: false,
            suite: Some(0xc02f),
            group: None,
        },
        time: Duration::from_millis(30),
    }
}

fn needed(needs: &[u64], wanted: (&str, &str)) -> u64 {
    let found = Needs::labels().zip(needs).find(|(label, _)| *label == wanted);
    *found.expect("there is such a need").1
}

#[test]
fn without_memory_nothing_is_counted() {
    let counters = Counters::default();
    counters.count(Counter::FullHandshakes);
    counters.count_handshake(&handshake(), 0);
    counters.attach(Box::leak((0..CELLS - 1).map(|_| AtomicU64::new(0)).collect()));
    assert!(!counters.attached() && counters.recent().is_none());
    assert_eq!(counters.total(Counter::FullHandshakes), 0);
    assert_eq!(counters.of_site(SiteKey::of("a.test")), SiteCounts::default());
}

#[test]
fn threads_have_their_own_slots() {
    let counters = counters();
    std::thread::scope(|scope| {
        for _ in 0..SLOTS + 3 {
            scope.spawn(|| (0..5).for_each(|_| counters.count(Counter::InternalErrors)));
        }
    });
    assert_eq!(counters.total(Counter::InternalErrors), (SLOTS as u64 + 3) * 5);
    assert_eq!(counters.total(Counter::FullHandshakes), 0);
    let slots = counters.memory.get().unwrap().slots.chunks(SLOT_CELLS);
    assert!(
        slots
            .into_iter()
            .all(|slot| slot[Counter::InternalErrors as usize].load(Relaxed) >= 5)
    );
}

#[test]
fn the_properties_of_a_handshake() {
    let counters = counters();
    counters.count_handshake(&handshake(), DAY);
    let resumed = Handshake {
        version: 0x0304,
        suite: 1,
        group: None,
        scheme: None,
        resumed: true,
        needs: Needs::default(),
        time: Duration::from_secs(60),
        ..handshake()
    };
    counters.count_handshake(&resumed, DAY);
    let count = |family: &'static Family, name: &str| {
        let found = counters.of_family(family).find(|(known, _)| *known == name);
        found.expect("there is such a value").1
    };
    assert_eq!(count(&VERSIONS, "TLSv1.2") + count(&VERSIONS, "TLSv1.3"), 2);
    assert_eq!(count(&SUITES, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), 1);
    assert_eq!(
        (
            count(&SUITES, "other"),
            count(&GROUPS, "x25519"),
            count(&GROUPS, "none")
        ),
        (1, 1, 1)
    );
    assert_eq!(
        (count(&SCHEMES, "rsa_pss_rsae_sha256"), count(&CLIENTS, "missing")),
        (1, 2)
    );
    let (durations, sum) = counters.durations();
    assert_eq!((durations[6], durations[14], sum), (1, 1, 60_030_000));
    let (handshakes, needs) = counters.needs();
    assert_eq!((handshakes, needed(&needs, ("version", "TLSv1.2"))), (2, 1));
    assert_eq!(
        needed(&needs, ("cipher_suite", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")),
        1
    );
    assert_eq!(needs.iter().sum::<u64>(), 2);
    let site = SiteCounts {
        full: 1,
        resumed: 1,
        failed: 0,
    };
    assert_eq!(counters.of_site(SiteKey::of("a.test")), site);
    assert_eq!(counters.totals().count(), SHOWN_BY_MOD_STATUS);
}

#[test]
fn every_value_has_a_name_and_a_cell_of_its_own() {
    let families: [&'static Family; 8] = [
        &VERSIONS,
        &SUITES,
        &GROUPS,
        &SCHEMES,
        &CLIENTS,
        &ALERTS_SENT,
        &families::ALERTS_RECEIVED,
        &FAILURES,
    ];
    let mut next = COUNTERS.len();
    for family in families {
        assert_eq!(family.cells().start, next);
        next = family.cells().end;
        let names: std::collections::HashSet<_> = family.names().collect();
        assert_eq!(names.len(), family.len(), "{:?}", family.names().collect::<Vec<_>>());
    }
    assert_eq!(next, DURATIONS);
    for supported in crate::crypto::ALL_CIPHER_SUITES {
        assert!(SUITES.position(supported.suite().into()) < SUITES.len() - 1);
    }
    for supported in crate::crypto::ALL_KX_GROUPS {
        assert!(GROUPS.position(supported.name().into()) < GROUPS.len() - 1);
    }
}

#[test]
fn days_are_cleared() {
    let counters = counters();
    let of = |day, now| counters.needs_of(day, now);
    counters.count_handshake(&handshake(), 10 * DAY);
    counters.count_handshake(&handshake(), 10 * DAY + 5);
    assert_eq!(of(Day::Today, 10 * DAY).0, 2);
    counters.count_handshake(&handshake(), 11 * DAY);
    assert_eq!((of(Day::Today, 11 * DAY).0, of(Day::Yesterday, 11 * DAY).0), (1, 2));
    assert_eq!(needed(&of(Day::Yesterday, 11 * DAY).1, ("version", "TLSv1.2")), 2);
    assert_eq!((of(Day::Today, 13 * DAY).0, of(Day::Yesterday, 13 * DAY).0), (0, 0));
    counters.count_handshake(&handshake(), 13 * DAY);
    assert_eq!(of(Day::Today, 13 * DAY), (1, counters.needs_of(Day::Today, 11 * DAY).1));
    assert_eq!(counters.needs().0, 4);
}

#[test]
fn hosts_have_their_own_counts() {
    let counters = counters();
    for host in 0..10_000 {
        counters.count_failure_of(SiteKey::of(&format!("h{host}.test")));
    }
    assert!((0..10_000).all(|host| counters.of_site(SiteKey::of(&format!("h{host}.test"))).failed == 1));
    assert_eq!(counters.of_site(SiteKey::of("other.test")), SiteCounts::default());
}

#[test]
fn staples() {
    let (counters, site) = (counters(), SiteKey::of("a.test"));
    assert_eq!(counters.staple_of(site), None);
    counters.set_staple(site, Some((5, 7)));
    assert_eq!(
        (counters.staple_of(site), counters.of_site(site)),
        (Some((5, 7)), SiteCounts::default())
    );
    counters.set_staple(site, None);
    assert_eq!(counters.staple_of(site), None);
}

fn failure(number: usize) -> RecentFailure {
    RecentFailure {
        time: number as i64,
        client: "2001:db8::1".to_owned(),
        sni: Some("a.test".to_owned()),
        host: "a.test".to_owned(),
        code: 1002,
        reason: format!("reason {number}"),
        ja4: None,
        alert: Some((AlertDirection::Sent, 40)),
    }
}

#[test]
fn the_last_failures() {
    let recent = counters().recent().unwrap();
    assert_eq!(recent.list(), []);
    (0..RECORDS + 20).for_each(|number| recent.add(failure(number)));
    let list = recent.list();
    assert_eq!(
        (list.len(), &list[0], &list[99]),
        (RECORDS, &failure(RECORDS + 19), &failure(20))
    );
}

#[test]
fn a_failure_that_is_being_written_is_left_out() {
    let counters = counters();
    let recent = counters.recent().unwrap();
    recent.add(failure(1));
    recent.add(failure(2));
    recent.change_last();
    assert_eq!(recent.list(), [failure(1)]);
}

proptest! {
    #[test]
    fn any_text_fits(sni in ".{0,400}", reason in ".{0,900}", host in ".{0,300}") {
        static COUNTERS: LazyLock<Counters> = LazyLock::new(counters);
        let recent = COUNTERS.recent().unwrap();
        recent.add(RecentFailure { sni: Some(sni.clone()), reason: reason.clone(), host, ..failure(1) });
        let last = &recent.list()[0];
        prop_assert!(reason.starts_with(&last.reason) && (last.reason.len() > 296 || reason == last.reason));
        prop_assert!(sni.starts_with(last.sni.as_deref().unwrap()));
    }
}
