// SPDX-License-Identifier: Apache-2.0
//! The report as one HTML page without outside resources. It works without its script, which only reads it again. maud
//! escapes all text.

mod charts;
mod failures;
mod handshakes;
mod revocation;
mod server;
mod sites;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::charts::percent;
use super::report::{Counts, Report};
use super::sites::View;
use crate::base::clock::rfc3339;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("refresh.js");

/// The page.
pub(super) struct Page<'a> {
    pub(super) report: &'a Report,
    pub(super) view: &'a View,
    /// What the policy allows style and script by.
    pub(super) nonce: &'a str,
}

impl Page<'_> {
    pub(super) fn render(&self) -> String {
        let Self { report, view, nonce } = self;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "TLS status" }
                    style nonce=(nonce) { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#sites" { "Skip to the sites" }
                    header {
                        h1 { "TLS status" }
                        p { (report.version) ", " (report.library) }
                        p #refresh role="status" { "As of " (time(report.time)) }
                        nav aria-label="Sections" {
                            a href="#sites" { "Sites" } " "
                            a href="#handshakes" { "Handshakes" } " "
                            a href="#what-if" { "What if" } " "
                            a href="#failures" { "Failures" } " "
                            a href="#revocation" { "Revocation" } " "
                            a href="#server" { "Server" } " "
                            a href="?format=json" { "JSON" }
                        }
                    }
                    main {
                        (overview(report))
                        (sites::section(&report.sites, view))
                        (handshakes::section(&report.handshakes))
                        (handshakes::what_if(&report.what_if))
                        (failures::section(&report.failures))
                        (revocation::section(report))
                        (server::section(report))
                    }
                    script nonce=(nonce) { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }
}

/// A part of the page that the script replaces.
fn section(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) data-live aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            (content)
        }
    }
}

/// A table that can be scrolled by keyboard where it is wider than the page.
fn wide(label: &str, table: &Markup) -> Markup {
    html! {
        div.wide role="region" aria-label=(label) tabindex="0" { (table) }
    }
}

fn time(seconds: i64) -> Markup {
    let text = rfc3339(seconds.saturating_mul(1_000_000));
    html! { time datetime=(text) { (text.replace('T', " ").replace('Z', " UTC")) } }
}

fn share(counts: &Counts, name: &str) -> String {
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let count = counts
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(0, |(_, count)| *count);
    percent(count, all)
}

fn overview(report: &Report) -> Markup {
    let handshakes = &report.handshakes;
    let all = handshakes.full + handshakes.resumed;
    let soon = report
        .sites
        .expiring
        .iter()
        .find(|one| one.within_days == 30)
        .map_or(0, |one| one.sites);
    let facts = [
        ("Sites", report.sites.total.to_string()),
        ("Expired, or within 30 days", soon.to_string()),
        ("Handshakes", all.to_string()),
        ("Failed", handshakes.failed.to_string()),
        ("Resumed", percent(handshakes.resumed, all)),
        ("TLS 1.3", share(&handshakes.versions, "TLSv1.3")),
        ("Post-quantum", percent(handshakes.post_quantum, all)),
    ];
    section(
        "overview",
        "Overview",
        &html! {
            @if !report.counting { p { "Nothing is counted: " code { "TLSCounters" } " is off." } }
            dl.facts {
                @for (name, value) in &facts {
                    div { dt { (name) } dd { (value) } }
                }
            }
        },
    )
}
