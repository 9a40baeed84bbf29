// SPDX-License-Identifier: Apache-2.0
//! Handshakes, and what clients need.

use maud::{Markup, html};

use super::charts::{bar, columns, percent};
use super::{section as make_section, wide};
use crate::status::report::{Counts, Durations, Handshakes, Needed, WhatIf};

pub(super) fn section(handshakes: &Handshakes) -> Markup {
    let kinds = vec![("full", handshakes.full), ("resumed", handshakes.resumed)];
    make_section(
        "handshakes",
        "Handshakes",
        &html! {
            div.grid {
                (distribution("Kind", &kinds))
                (distribution("Version", &handshakes.versions))
                (distribution("Cipher suite", &handshakes.cipher_suites))
                (distribution("Group", &handshakes.groups))
                (distribution("Signature", &handshakes.signature_schemes))
                (distribution("Client certificate", &handshakes.client_certificates))
            }
            p { "Began with early data: " (handshakes.early_data) "." }
            (durations(&handshakes.durations))
        },
    )
}

/// The values that occur, with their shares.
pub(super) fn distribution(title: &str, counts: &Counts) -> Markup {
    let all = counts.iter().map(|(_, count)| count).sum();
    let mut occurring: Vec<_> = counts.iter().filter(|(_, count)| *count > 0).collect();
    occurring.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    html! {
        table {
            thead { tr { th scope="col" { (title) } th.number scope="col" { "Count" } th.number scope="col" { "Share" } td {} } }
            tbody {
                @for (name, count) in &occurring {
                    tr {
                        th scope="row" { (name) }
                        td.number { (count) }
                        td.number { (percent(*count, all)) }
                        td.chart { (bar(*count, all)) }
                    }
                }
                @if occurring.is_empty() { tr { td colspan="4" { "none yet" } } }
            }
        }
    }
}

/// `250 ms`, `2.5 s`.
fn limit(seconds: f64) -> String {
    match seconds {
        1.0.. => format!("{seconds} s"),
        _ => format!("{} ms", seconds * 1000.0),
    }
}

fn durations(durations: &Durations) -> Markup {
    let mut counts: Vec<_> = durations
        .buckets
        .iter()
        .map(|bucket| (limit(bucket.at_most_seconds), bucket.count))
        .collect();
    counts.push(("more".to_owned(), durations.longer));
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let mean = match all {
        0 => "\u{2013}".to_owned(),
        all => format!("{:.1} ms", durations.sum_seconds * 1000.0 / all as f64),
    };
    html! {
        h3 { "Duration" }
        p {
            "From the client's first byte until data can be transferred, on average " (mean) ". A column has the handshakes "
            "that took at most so long, and longer than those of the column before."
        }
        (columns(&counts))
        details {
            summary { "The same as a table" }
            (wide("Durations", &html! {
                table {
                    thead { tr { @for (name, _) in &counts { th scope="col" { (name) } } } }
                    tbody { tr { @for (_, count) in &counts { td.number { (count) } } } }
                }
            }))
        }
    }
}

pub(super) fn what_if(what_if: &WhatIf) -> Markup {
    let times = [&what_if.since_start, &what_if.yesterday, &what_if.today];
    let rows: Vec<_> = (0..what_if.since_start.without.len())
        .filter(|at| times.iter().any(|time| time.without[*at].refused > 0))
        .collect();
    make_section(
        "what-if",
        "What if it were switched off?",
        &html! {
            p { "The share of handshakes that would have been refused, because the client has nothing else in common with the site." }
            (wide("What if", &html! {
                table {
                    thead {
                        tr {
                            th scope="col" { "Without" }
                            @for (name, time) in ["Since the start", "Yesterday (UTC)", "Today (UTC)"].iter().zip(times) {
                                th.number scope="col" { (name) br; span.note { "of " (time.handshakes) } }
                            }
                        }
                    }
                    tbody {
                        @for at in &rows {
                            tr {
                                th scope="row" { (what_if.since_start.without[*at].name) }
                                @for time in times { td.number { (refused(time, *at)) } }
                            }
                        }
                        @if rows.is_empty() { tr { td colspan="4" { "No client would have been refused." } } }
                    }
                }
            }))
        },
    )
}

fn refused(time: &Needed, at: usize) -> String {
    let refused = time.without[at].refused;
    match time.handshakes {
        0 => "\u{2013}".to_owned(),
        all => format!("{refused} ({})", percent(refused, all)),
    }
}
