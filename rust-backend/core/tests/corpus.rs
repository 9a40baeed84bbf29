// SPDX-License-Identifier: Apache-2.0
//! The fuzz targets without a fuzzer: the corpus, and random mutations of it for as many seconds as
//! `MOD_TLS_FUZZ_SECONDS` says (2 unless it is set).

#[path = "../../fuzz/fuzz_targets/common.rs"]
mod common;

use std::path::Path;
use std::time::{Duration, Instant};

/// A small generator (xorshift) that needs no crate; its seed is printed by a failing test.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize
    }
}

fn mutate(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..=random.next() % 4 {
        if data.is_empty() {
            break;
        }
        let at = random.next() % data.len();
        match random.next() % 5 {
            0 => data[at] ^= 1 << (random.next() % 8),
            1 => data[at] = random.next() as u8,
            2 => data.truncate(at),
            3 => data.insert(at, random.next() as u8),
            _ => data.extend_from_slice(&other[random.next() % other.len().max(1)..]),
        }
    }
    data
}

fn replay(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let seeds: Vec<Vec<u8>> = std::fs::read_dir(&directory)
        .expect("there is a corpus")
        .map(|entry| std::fs::read(entry.expect("it can be read").path()).expect("so can its files"))
        .collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| target(seed));
    let seconds = std::env::var("MOD_TLS_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2);
    let start = Instant::now();
    let seed = u64::from(std::process::id()) << 32 | 0x9e37_79b9;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    while start.elapsed() < Duration::from_secs(seconds) {
        let seed = &seeds[random.next() % seeds.len()];
        let other = &seeds[random.next() % seeds.len()];
        target(&mutate(seed, other, &mut random));
    }
}

#[test]
fn connection() {
    replay("connection", common::connection);
}

#[test]
fn pem() {
    replay("pem", common::pem);
}

#[test]
fn crl() {
    replay("crl", common::crl);
}

#[test]
fn client() {
    replay("client", common::client);
}

#[test]
fn ssl() {
    replay("ssl", common::ssl);
}

#[test]
fn store() {
    replay("store", common::store);
}

#[test]
fn key_process() {
    replay("key_process", common::key_process);
}

#[test]
fn ocsp() {
    replay("ocsp", common::ocsp);
}
