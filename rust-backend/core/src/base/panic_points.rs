// SPDX-License-Identifier: Apache-2.0
//! Panics on demand, to prove that a defect in this code ends one connection and nothing else.
//!
//! Only builds with the feature `inject-panics` contain them: there, a client that asks for the server name
//! `panic-at-PHASE.test` makes its connection panic in that phase. Test builds have the feature, others do not.

/// A place where a panic can be injected: `phase` is its name, `sni` what the client asked for.
#[cfg(feature = "inject-panics")]
pub fn point(phase: &str, sni: Option<&str>) {
    let wanted = sni.and_then(|name| name.strip_prefix("panic-at-")?.strip_suffix(".test"));
    assert!(wanted != Some(phase), "injected in phase {phase}");
}

/// Without the feature there is nothing to inject.
#[cfg(not(feature = "inject-panics"))]
#[inline(always)]
pub fn point(_phase: &str, _sni: Option<&str>) {}
