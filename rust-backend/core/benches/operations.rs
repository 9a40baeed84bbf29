// SPDX-License-Identifier: Apache-2.0
//! The time of single operations without httpd: handshakes, records, name lookup, compilation.
//!
//! `cargo bench -p mod-tls-core --bench operations`. The client's part of a handshake is not timed.

#[path = "operations/mod.rs"]
mod operations;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use operations::{Hosts, Pair, Stopwatch, encrypt, names, receive, send};
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
                let mut stopwatch = Stopwatch::default();
                (0..times).for_each(|_| drop(pair.handshake(&mut stopwatch)));
                stopwatch.0
            });
        });
    }
    group.finish();
}

fn records(c: &mut Criterion) {
    let mut group = c.benchmark_group("record of 16 KiB");
    group.throughput(Throughput::Bytes(RECORD as u64));
    let pair = Pair::new(&TLS13, false);
    let (mut server, mut client) = pair.handshake(&mut Stopwatch::default());
    let data = vec![7; RECORD];
    group.bench_function("out", |b| b.iter(|| send(&mut server, black_box(&data))));
    group.bench_function("in", |b| {
        b.iter_custom(|times| {
            let mut stopwatch = Stopwatch::default();
            for _ in 0..times {
                let records = encrypt(&mut client, &data);
                stopwatch.measure(|| assert_eq!(receive(&mut server, &records), RECORD));
            }
            stopwatch.0
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
