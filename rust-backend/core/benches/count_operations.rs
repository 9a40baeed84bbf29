// SPDX-License-Identifier: Apache-2.0
//! Runs an operation a number of times: for `valgrind --tool=callgrind`, which counts instructions
//! (`bench/instructions.py`). Usage: OPERATION TIMES

#[path = "operations/mod.rs"]
mod operations;

use std::sync::Arc;

use operations::{Hosts, Pair, Stopwatch, encrypt, names, receive, send};
use rustls::version::TLS13;

const RECORD: usize = 16_384;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (operation, times) = match arguments.as_slice() {
        [_, operation, times] => (operation.as_str(), times.parse().unwrap_or(0)),
        _ => ("", 0),
    };
    let mut stopwatch = Stopwatch::default();
    match operation {
        // These include the client's part.
        "handshake" | "resumed" => {
            let pair = Pair::new(&TLS13, operation == "resumed");
            (0..times).for_each(|_| drop(pair.handshake(&mut stopwatch)));
        }
        "out" | "in" => {
            let pair = Pair::new(&TLS13, false);
            let (mut server, mut client) = pair.handshake(&mut stopwatch);
            let data = vec![7; RECORD];
            for records in (0..times).map(|_| encrypt(&mut client, &data)) {
                match operation {
                    "out" => send(&mut server, &data),
                    _ => receive(&mut server, &records),
                };
            }
        }
        "lookup" => {
            let (index, name) = names(100_000);
            (0..times).for_each(|_| assert!(index.find(&name).is_some()));
        }
        "compile" => {
            let hosts = Hosts::new(100);
            (0..times).for_each(|_| drop(hosts.compile(&Arc::default())));
        }
        _ => eprintln!("usage: handshake|resumed|out|in|lookup|compile TIMES (see bench/instructions.py)"),
    }
}
