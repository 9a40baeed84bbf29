// SPDX-License-Identifier: Apache-2.0
//! Small charts as SVG. The numbers are in tables beside them, so screen readers skip the charts.

use maud::{Markup, html};

/// `part` of `all` as text.
pub(super) fn percent(part: u64, all: u64) -> String {
    match all {
        0 => "\u{2013}".to_owned(),
        all => format!("{:.1} %", 100.0 * part as f64 / all as f64),
    }
}

/// A bar as long as the share of `part` in `all`.
pub(super) fn bar(part: u64, all: u64) -> Markup {
    let width = if all == 0 {
        0.0
    } else {
        100.0 * part as f64 / all as f64
    };
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.ground width="100" height="8" {}
            rect width=(format!("{width:.2}")) height="8" {}
        }
    }
}

/// Columns as high as the counts, with their names below.
pub(super) fn columns(counts: &[(String, u64)]) -> Markup {
    const WIDTH: usize = 58;
    const HEIGHT: u64 = 100;
    let highest = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    html! {
        svg.columns viewBox=(format!("0 0 {} {}", counts.len() * WIDTH, HEIGHT + 20)) aria-hidden="true"
            focusable="false" {
            @for (at, (name, count)) in counts.iter().enumerate() {
                @let height = (*count as f64 / highest as f64 * HEIGHT as f64).ceil() as u64;
                rect x=(at * WIDTH + 4) y=(HEIGHT - height) width=(WIDTH - 8) height=(height) {}
                text x=(at * WIDTH + WIDTH / 2) y=(HEIGHT + 14) text-anchor="middle" { (name) }
            }
        }
    }
}
