// SPDX-License-Identifier: Apache-2.0
//! The table of hosts.

use maud::{Markup, html};

use super::{revocation, section as make_section, time, wide};
use crate::status::sites::{CertificateReport, Order, SiteReport, Sites, StapleReport, View};

/// A URL of the page with another view.
fn url(view: &View) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !view.filter.is_empty() {
        query.append_pair("filter", &view.filter);
    }
    query.append_pair("sort", view.order.name());
    if view.descending {
        query.append_pair("order", "descending");
    }
    query.append_pair("page", &view.page.to_string());
    query.append_pair("per_page", &view.per_page.to_string());
    format!("?{}#sites", query.finish())
}

pub(super) fn section(sites: &Sites, view: &View) -> Markup {
    make_section(
        "sites",
        "Sites",
        &html! {
            form method="get" role="search" {
                label for="filter" { "Name or certificate file" } " "
                input #filter type="search" name="filter" value=(view.filter);
                input type="hidden" name="sort" value=(view.order.name());
                input type="hidden" name="per_page" value=(view.per_page);
                " " button { "Filter" }
                " " span.note { (sites.matching) " of " (sites.total) " sites" }
            }
            (wide("Sites", &table(sites, view)))
            (pages(sites, view))
        },
    )
}

fn table(sites: &Sites, view: &View) -> Markup {
    html! {
        table {
            thead {
                tr {
                    (heading("Site", Order::Name, view))
                    th scope="col" { "Names" }
                    th scope="col" { "Issuer" }
                    th scope="col" { "Key" }
                    (heading("Days left", Order::DaysLeft, view))
                    (heading("Handshakes", Order::Handshakes, view))
                    (heading("Failed", Order::Failures, view))
                }
            }
            tbody {
                @for site in &sites.list { (rows(site)) }
                @if sites.list.is_empty() { tr { td colspan="7" { "no sites" } } }
            }
        }
    }
}

/// The heading of a column by which the table can be sorted. A second click reverses the order.
fn heading(title: &str, order: Order, view: &View) -> Markup {
    let is_sorted = view.order == order;
    // Counts are sorted from the highest by default.
    let falls = view.descending != matches!(order, Order::Handshakes | Order::Failures);
    let sort = is_sorted.then_some(if falls { "descending" } else { "ascending" });
    let to = View {
        order,
        descending: is_sorted && !view.descending,
        page: 1,
        ..view.clone()
    };
    html! {
        th scope="col" aria-sort=[sort] {
            a href=(url(&to)) { (title) }
            @if let Some(sort) = sort {
                span aria-hidden="true" { (if sort == "ascending" { " \u{25b2}" } else { " \u{25bc}" }) }
            }
        }
    }
}

/// A row for each certificate of a host.
fn rows(site: &SiteReport) -> Markup {
    let count = site.certificates.len().max(1);
    let is_fetched = site.certificates.iter().any(|certificate| certificate.staple.is_some());
    html! {
        @for at in 0..count {
            tr {
                @if at == 0 {
                    th scope="row" rowspan=(count) {
                        (site.name)
                        @if let Some(store) = &site.store { br; span.note { "and others, looked up in " (store) } }
                        @if let Some(staple) = site.staple.as_ref().filter(|_| !is_fetched) { br; (staple_note(staple)) }
                        @if let Some(lists) = &site.revocation_lists { br; (revocation::site_lists(lists)) }
                    }
                }
                @match site.certificates.get(at) {
                    Some(certificate) => (cells(certificate)),
                    None if site.store.is_some() => {
                        td colspan="3" { "looked up by name" }
                        td {}
                    }
                    None => {
                        td colspan="3" { "no certificate: requests are answered with 503" }
                        td.expired { "none" }
                    }
                }
                @if at == 0 {
                    td.number rowspan=(count) { (site.handshakes.full + site.handshakes.resumed) }
                    td.number rowspan=(count) { (site.handshakes.failed) }
                }
            }
        }
    }
}

fn staple_note(staple: &StapleReport) -> Markup {
    html! {
        span.note {
            "OCSP response of " (time(staple.this_update)) ", until " (time(staple.next_update))
            @if staple.stale { ": it is stale" }
        }
    }
}

fn cells(certificate: &CertificateReport) -> Markup {
    /// More names than this are behind a click.
    const NAMES: usize = 3;
    let (first, more) = certificate.names.split_at(certificate.names.len().min(NAMES));
    html! {
        td {
            (first.join(", "))
            @if !more.is_empty() {
                details { summary { (more.len()) " more" } (more.join(", ")) }
            }
            br; span.note { (certificate.file) }
            @if let Some(staple) = &certificate.staple { br; (revocation::staple(staple)) }
        }
        td { (certificate.issuer) }
        td {
            (certificate.key) br;
            span.note { "in " (certificate.key_in) }
        }
        (days(certificate))
    }
}

/// The days that are left, as text and as colour.
fn days(certificate: &CertificateReport) -> Markup {
    let left = certificate.days_left;
    let (class, text) = match left {
        ..0 => ("expired", "expired".to_owned()),
        0..=7 => ("soon", left.to_string()),
        8..=30 => ("due", left.to_string()),
        _ => ("good", left.to_string()),
    };
    html! {
        td class=(class) { (text) br; span.note { (time(certificate.not_after)) } }
    }
}

fn pages(sites: &Sites, view: &View) -> Markup {
    let to = |page| url(&View { page, ..view.clone() });
    html! {
        @if sites.pages > 1 {
            nav.pages aria-label="Pages of the sites" {
                @if sites.page > 1 {
                    a href=(to(1)) { "First" } " "
                    a rel="prev" href=(to(sites.page - 1)) { "Previous" } " "
                }
                span aria-current="page" { "Page " (sites.page) " of " (sites.pages) }
                @if sites.page < sites.pages {
                    " " a rel="next" href=(to(sites.page + 1)) { "Next" }
                    " " a href=(to(sites.pages)) { "Last" }
                }
            }
        }
    }
}
