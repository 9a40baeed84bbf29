// SPDX-License-Identifier: Apache-2.0
//! The time of a lookup in a revocation list, by its size, and of reading a list.
//!
//! `cargo bench -p mod-tls-core --bench revocation`

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mod_tls_core::trust::crl::Crl;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateRevocationListDer;

const SIZES: [u64; 4] = [100, 1_000, 10_000, 100_000];

fn list(entries: u64) -> CertificateRevocationListDer<'static> {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let issuer = Issuer::new(params, KeyPair::generate().expect("there are random numbers"));
    let revoked = (1..=entries).map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(serial * 2),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2030, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer)
        .expect("the issuer may sign lists")
        .der()
        .clone()
}

fn revocation(c: &mut Criterion) {
    let lists = SIZES.map(|size| (size, list(size)));
    let mut group = c.benchmark_group("look up a serial number");
    for (size, der) in &lists {
        let crl = Crl::parse(Path::new("bench"), der.clone()).expect("the list is good");
        // The last entry, and one that is not there.
        let there = (size * 2).to_be_bytes();
        let absent = (size * 2 - 1).to_be_bytes();
        assert!(crl.has(&there) && !crl.has(&absent));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| (crl.has(black_box(&there)), crl.has(black_box(&absent))));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("read a list");
    group.sample_size(10);
    for (size, der) in &lists {
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| Crl::parse(Path::new("bench"), black_box(der.clone())).map(|crl| crl.len()));
        });
    }
    group.finish();
}

criterion_group!(benches, revocation);
criterion_main!(benches);
