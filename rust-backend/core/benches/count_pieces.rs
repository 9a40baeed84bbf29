// SPDX-License-Identifier: Apache-2.0
//! Does a piece of a server's work some times and ends: for `valgrind --tool=callgrind`, which counts instructions
//! (`bench/instructions.py`). Usage: PIECE TIMES

#[path = "pieces/mod.rs"]
mod pieces;

use std::sync::Arc;

use pieces::{Hosts, Pair, Spent, encrypt, names, receive, send};
use rustls::version::TLS13;

const RECORD: usize = 16_384;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (piece, times) = match arguments.as_slice() {
        [_, piece, times] => (piece.as_str(), times.parse().unwrap_or(0)),
        _ => ("", 0),
    };
    let mut spent = Spent::default();
    match piece {
        // The client's part is in these as well.
        "handshake" | "resumed" => {
            let pair = Pair::new(&TLS13, piece == "resumed");
            (0..times).for_each(|_| drop(pair.shake_hands(&mut spent)));
        }
        "out" | "in" => {
            let pair = Pair::new(&TLS13, false);
            let (mut server, mut client) = pair.shake_hands(&mut spent);
            let data = vec![7; RECORD];
            let mut buffer = vec![0; 2 * RECORD];
            for records in (0..times).map(|_| encrypt(&mut client, &data)) {
                match piece {
                    "out" => send(&mut server, &data, &mut buffer),
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
