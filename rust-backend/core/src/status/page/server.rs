// SPDX-License-Identifier: Apache-2.0
//! Processes, keys, sessions and backends.

use maud::{Markup, html};

use super::{section as make_section, time};
use crate::status::report::Report;

pub(super) fn section(report: &Report) -> Markup {
    let (sessions, store) = (&report.sessions, &report.certificate_store);
    let ages: Vec<_> = sessions
        .ticket_key_ages_seconds
        .iter()
        .map(|age| duration(*age))
        .collect();
    let children: Vec<_> = report.processes.children.iter().map(u32::to_string).collect();
    let mut facts = vec![
        (
            "Configuration read",
            html! { (time(report.configured)) " (generation " (report.processes.generation) ")" },
        ),
        ("Child processes", html! { (children.len()) ": " (children.join(", ")) }),
        ("Private keys", html! { (report.keys.place) }),
        (
            "Session cache",
            html! {
                (sessions.cache) ": " (sessions.stored) " stored, " (sessions.not_stored) " not stored, "
                (sessions.found) " found, " (sessions.not_found) " not found"
            },
        ),
        (
            "Certificate store",
            html! {
                (store.from_cache) " from the cache, " (store.loaded) " loaded, " (store.not_found) " not found, "
                (store.failed) " failed"
            },
        ),
        ("Age of the ticket key", html! { (ages.join(", ")) }),
        ("Plain HTTP on a TLS port", html! { (report.connections.plain_http) }),
        (
            "Connections that ended with an error",
            html! { (report.connections.failed) },
        ),
        ("Internal errors", html! { (report.connections.internal_errors) }),
        (
            "Handshakes with backends",
            html! { (report.backends.handshakes) ", failed: " (report.backends.failed) },
        ),
    ];
    if let Some(problem) = &report.keys.problem {
        facts.push(("tls-keyd", html! { (problem) }));
    }
    if let (Some(keys), Some(pid)) = (&report.keys.key_process, report.processes.key_process) {
        facts.push((
            "tls-keyd",
            html! { "process " (pid) ": " (keys.keys) " keys, " (keys.signatures) " signatures, " (keys.refused) " refused" },
        ));
    }
    for place in &report.backends.places {
        let verifies = if place.verifies { "verified" } else { "NOT verified" };
        facts.push(("Backends of", html! { (place.place) ": " (verifies) }));
    }
    make_section(
        "server",
        "Server",
        &html! {
            table {
                tbody { @for (name, value) in &facts { tr { th scope="row" { (name) } td { (value) } } } }
            }
        },
    )
}

fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    format!("{} h {} min", minutes / 60, minutes % 60)
}
