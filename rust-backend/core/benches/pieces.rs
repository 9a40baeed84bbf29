// SPDX-License-Identifier: Apache-2.0
//! What pieces of a server's work cost without httpd: handshakes, records, looking up names, compiling.
//!
//! `cargo bench -p mod-tls-core --bench pieces`. Of handshakes only the server's part is timed.

#[path = "pieces/mod.rs"]
mod pieces;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pieces::{Hosts, Pair, Spent, encrypt, names, receive, send};
use rustls::version::{TLS12, TLS13};

const RECORD: usize = 16_384;
const HOSTS: usize = 100;

fn handshakes(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    for (name, version, resumes) in [
        ("TLS 1.3", &TLS13, false),
        ("TLS 1.3 resumed", &TLS13, true),
        ("TLS 1.2", &TLS12, false),
        ("TLS 1.2 resumed", &TLS12, true),
    ] {
        let pair = Pair::new(version, resumes);
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut spent = Spent::default();
                (0..times).for_each(|_| drop(pair.shake_hands(&mut spent)));
                spent.0
            });
        });
    }
    group.finish();
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record of 16 KiB");
    group.throughput(Throughput::Bytes(RECORD as u64));
    let pair = Pair::new(&TLS13, false);
    let (mut server, mut client) = pair.shake_hands(&mut Spent::default());
    let data = vec![7; RECORD];
    let mut buffer = vec![0; 2 * RECORD];
    group.bench_function("out", |b| b.iter(|| send(&mut server, black_box(&data), &mut buffer)));
    group.bench_function("in", |b| {
        b.iter_custom(|times| {
            let mut spent = Spent::default();
            for _ in 0..times {
                let records = encrypt(&mut client, &data);
                spent.on(|| assert_eq!(receive(&mut server, &records), RECORD));
            }
            spent.0
        });
    });
    group.finish();
}

fn lookup(c: &mut Criterion) {
    let (index, name) = names(100_000);
    c.bench_function("find one of 100,000 names", |b| b.iter(|| index.find(black_box(&name))));
}

fn compile(c: &mut Criterion) {
    let hosts = Hosts::new(HOSTS);
    let mut group = c.benchmark_group("compile a host");
    group.throughput(Throughput::Elements(HOSTS as u64));
    group.bench_function("at start", |b| b.iter(|| hosts.compile(&Arc::default())));
    let process = Arc::default();
    group.bench_function("at a reload", |b| b.iter(|| hosts.compile(&process)));
    group.finish();
}

criterion_group!(benches, handshakes, records, lookup, compile);
criterion_main!(benches);
