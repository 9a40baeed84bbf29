// SPDX-License-Identifier: Apache-2.0
//! Failures. Server names and reasons have text from clients.

use maud::{Markup, html};

use super::handshakes::distribution;
use super::{section as make_section, wide};
use crate::status::report::{Failure, Failures};

pub(super) fn section(failures: &Failures) -> Markup {
    make_section(
        "failures",
        "Failures",
        &html! {
            div.grid {
                (distribution("Reason", &failures.reasons))
                (distribution("Alert sent", &failures.alerts_sent))
                (distribution("Alert received", &failures.alerts_received))
            }
            h3 { "The last " (failures.last.len()) }
            (wide("The last failures", &html! {
                table {
                    thead {
                        tr {
                            @for name in ["Time", "Client", "Server name", "Host", "Code", "What happened, and what to do", "JA4"] {
                                th scope="col" { (name) }
                            }
                        }
                    }
                    tbody {
                        @for failure in &failures.last { (row(failure)) }
                        @if failures.last.is_empty() { tr { td colspan="7" { "none yet" } } }
                    }
                }
            }))
        },
    )
}

/// Text of the table of codes, in which directives are between backticks.
fn markdown(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn row(failure: &Failure) -> Markup {
    html! {
        tr {
            td { time datetime=(failure.time) { (failure.time) } }
            td { (failure.client) }
            td { (failure.server_name.as_deref().unwrap_or("\u{2013}")) }
            td { (failure.host) }
            td { (failure.code) br; span.note { (failure.name) } }
            td {
                (failure.reason)
                @if let Some(alert) = &failure.alert_sent { " (sent " (alert) ")" }
                @if let Some(alert) = &failure.alert_received { " (received " (alert) ")" }
                @if !failure.mend.is_empty() { br; span.note { (markdown(failure.mend)) } }
            }
            td { code { (failure.ja4.as_deref().unwrap_or("\u{2013}")) } }
        }
    }
}
