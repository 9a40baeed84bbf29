// SPDX-License-Identifier: Apache-2.0
//! Panics on demand, which show that a defect in this code ends only one connection.
//!
//! Only builds with the feature `inject-panics` contain them. There, a client with the server name
//! `panic-at-PHASE.test` makes its connection panic in that phase. Test builds have the feature, others do not.

/// A place where a panic can be injected: `phase` is its name, `sni` the server name of the client.
#[cfg(feature = "inject-panics")]
pub fn point(phase: &str, sni: Option<&str>) {
    let wanted = sni.and_then(|name| name.strip_prefix("panic-at-")?.strip_suffix(".test"));
    assert!(wanted != Some(phase), "injected in phase {phase}");
}

/// Without the feature, nothing is injected.
#[cfg(not(feature = "inject-panics"))]
#[inline(always)]
pub fn point(_phase: &str, _sni: Option<&str>) {}
