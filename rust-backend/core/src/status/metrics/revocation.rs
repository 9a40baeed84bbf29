// SPDX-License-Identifier: Apache-2.0
//! Metrics about revocation.

use super::{Kind, Text};
use crate::status::report::Report;
use crate::status::revocation::Revocation;

pub(super) fn add(text: &mut Text, report: &Report) {
    lists(text, report);
    let checks = &report.client_checks;
    let help = "OCSP checks of clients' certificates.";
    text.counters("client_status_checks", help, "result", &checks.results());
    let help = "Answers of OCSP responders about clients' certificates that were needed: known already (hit), or asked for (miss).";
    let counts = [("hit", checks.cached), ("miss", checks.asked)];
    text.counters("client_status_cache_lookups", help, "result", &counts);
    if let Some(revocation) = &report.revocation {
        let help = "Whether tls-keyd --revocation, which talks to OCSP responders and fetches revocation lists, works.";
        text.gauge("revocation_process_up", help, i32::from(revocation.process.is_some()));
    }
    // Without such a process, there are none.
    let nothing = Revocation::default();
    let revocation = report.revocation.as_ref().unwrap_or(&nothing);
    let help = "Certificates for which OCSP responses are fetched, by what there is.";
    text.gauges("staples", help, "state", &revocation.staples());
    let help = "Revocation lists that are fetched, by what there is.";
    text.gauges("revocation_lists", help, "state", &revocation.lists());
}

/// The lists in files, and those that are fetched because the configuration or a CA of it names them.
fn lists(text: &mut Text, report: &Report) {
    let fetched = report.revocation.iter().flat_map(|revocation| &revocation.lists);
    let fetched = fetched
        .filter(|list| list.configured)
        .filter_map(|list| Some((&list.url, list.next_update?)));
    let files = report
        .revocation_lists
        .iter()
        .map(|list| (&list.file, list.next_update));
    let name = "revocation_list_next_update_timestamp_seconds";
    // The lists of a file that has several are told apart by their number.
    let mut last = ("", 0);
    for (at, (file, next_update)) in files.chain(fetched).enumerate() {
        if at == 0 {
            text.begin(name, Kind::Gauge, "The nextUpdate time of a revocation list.");
        }
        last = (file, if file == last.0 { last.1 + 1 } else { 0 });
        let number = last.1.to_string();
        text.sample(name, &[("file", file), ("number", &number)], next_update);
    }
}
