// SPDX-License-Identifier: Apache-2.0
//! OCSP responses, revocation lists, and the process that fetches them.

use maud::{Markup, html};

use super::{section as make_section, time, wide};
use crate::status::report::Report;
use crate::status::revocation::{FetchedStaple, Revocation, SiteLists, State};

pub(super) fn section(report: &Report) -> Markup {
    let checks = &report.client_checks;
    make_section(
        "revocation",
        "Revocation",
        &html! {
            table {
                tbody {
                    @match &report.revocation {
                        Some(revocation) => (process(revocation)),
                        None => tr { td colspan="2" { "Nothing is asked of OCSP responders, and no lists are fetched." } },
                    }
                    tr {
                        th scope="row" { "OCSP checks of clients" }
                        td {
                            (checks.good) " good, " (checks.revoked) " revoked, " (checks.unknown) " unknown, "
                            (checks.no_answer) " without an answer, " (checks.no_responder) " without a responder"
                        }
                    }
                    tr {
                        th scope="row" { "Answers about clients" }
                        td { (checks.cached) " known already, " (checks.asked) " asked for" }
                    }
                }
            }
            (lists(report))
        },
    )
}

fn process(revocation: &Revocation) -> Markup {
    let staples = &revocation.staples;
    html! {
        tr {
            th scope="row" { "tls-keyd --revocation" }
            @match revocation.process {
                Some(pid) => td { "process " (pid) },
                None => td.expired { "does not answer" },
            }
        }
        tr {
            th scope="row" { "Certificates with an OCSP response" }
            td {
                (staples.good) " good, " (staples.revoked) " revoked, " (staples.unknown) " unknown, " (staples.stale) " stale, "
                (staples.none) " without one"
            }
        }
    }
}

/// The lists in files and those that are fetched.
fn lists(report: &Report) -> Markup {
    let fetched = report.revocation.as_ref().map(|revocation| revocation.lists.as_slice());
    let fetched = fetched.unwrap_or_default();
    if report.revocation_lists.is_empty() && fetched.is_empty() {
        return html! {};
    }
    let heads = ["File or URL", "Entries", "This update", "Next update"];
    html! {
        h3 { "Revocation lists" }
        (wide("Revocation lists", &html! {
            table {
                thead { tr { @for name in heads { th scope="col" { (name) } } } }
                tbody {
                    @for list in &report.revocation_lists {
                        tr {
                            th scope="row" { (list.file) }
                            td.number { (list.entries) }
                            td { (time(list.this_update)) }
                            td class=(if list.expired { "expired" } else { "good" }) {
                                (time(list.next_update)) @if list.expired { " (expired)" }
                            }
                        }
                    }
                    @for list in fetched {
                        tr {
                            th scope="row" {
                                (list.url)
                                @if let Some(problem) = &list.problem { br; span.note { (problem) } }
                            }
                            td.number { @if let Some(entries) = list.entries { (entries) } }
                            td { @if let Some(at) = list.this_update { (time(at)) } }
                            td class=(class(list.state)) {
                                @if let Some(at) = list.next_update { (time(at)) } @else { "none" }
                                @if list.state == State::Stale { " (expired)" }
                            }
                        }
                    }
                }
            }
        }))
    }
}

/// The colour of a state.
fn class(state: State) -> &'static str {
    match state {
        State::Good => "good",
        State::Unknown | State::None => "due",
        State::Stale | State::Revoked => "expired",
    }
}

/// The OCSP response that is fetched for a certificate.
pub(super) fn staple(staple: &FetchedStaple) -> Markup {
    html! {
        span.note {
            @match staple.state {
                State::Good => "OCSP response: good",
                State::Stale => "OCSP response: stale, and not stapled",
                State::Revoked => strong.expired { "OCSP: revoked" },
                State::Unknown => strong.due { "OCSP: unknown to its responder" },
                State::None => "no OCSP response",
            }
            @if let Some(at) = staple.this_update { ", of " (time(at)) }
            @if let Some(at) = staple.usable_until { ", until " (time(at)) }
            @if let Some(problem) = &staple.problem { ": " (problem) }
        }
    }
}

/// The revocation lists for the clients of a host.
pub(super) fn site_lists(lists: &SiteLists) -> Markup {
    html! {
        span.note {
            (lists.lists) " revocation lists for clients"
            @if let Some(at) = lists.this_update { ", of " (time(at)) }
            @if let Some(at) = lists.next_update { ", until " (time(at)) }
            @if lists.fetched { ", and those that certificates name" }
            @if lists.stale > 0 { " " strong.expired { (lists.stale) " expired" } }
            @if lists.missing > 0 { " " strong.expired { (lists.missing) " missing" } }
        }
    }
}
