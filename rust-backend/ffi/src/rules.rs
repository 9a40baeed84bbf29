// SPDX-License-Identifier: Apache-2.0
//! The rules of sections and .htaccess files for requests.

use mod_tls_core::base::directive_names::worded;
use mod_tls_core::info::options::{FAKE_BASIC_AUTH, STRICT_REQUIRE};
use mod_tls_core::request::rules::{Place, Reading, Rules, Stage};

use crate::guard::{Status, guard};
use crate::info::{InfoHandle, answer};
use crate::types::{OwnedText, Slice, words};

/// Reads a directive at `place` into `rules`. `reading` is set to how it is used. `TLS_STATUS_FAILED` sets `error` to the
/// mistake in the directive, and does not change `rules`.
///
/// # Safety
/// The pointers are valid, and `args` has `arg_count` valid slices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_rules_read(
    rules: *mut Rules,
    name: Slice,
    args: *const Slice,
    arg_count: usize,
    place: Place,
    reading: *mut Reading,
    error: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (rules, reading, error) = unsafe { (rules.as_mut()?, reading.as_mut()?, error.as_mut()?) };
        // SAFETY: the caller promises valid slices.
        let (name, words) = unsafe { (name.text(), words(args, arg_count)) };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match rules.read(&name, &words, place) {
            Ok(read) => {
                *reading = read;
                Some(Status::Ok)
            }
            Err(why) => {
                *error = OwnedText::give(worded(&why));
                Some(Status::Failed)
            }
        }
    })
}

/// Sets `merged` to the rules of a section with the rules `inner` inside a section with the rules `outer`.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_rules_merge(outer: *const Rules, inner: *const Rules, merged: *mut Rules) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (outer, inner, merged) = unsafe { (outer.as_ref()?, inner.as_ref()?, merged.as_mut()?) };
        *merged = outer.merge(inner);
        Some(Status::Ok)
    })
}

/// Checks that `rules` accept the connection of a request. `info` is null if it is not TLS of this module; `is_tls` is
/// whether it is TLS of any module. `tls12` and `tls13` are the texts of the cipher suites, empty if they are not set.
/// `TLS_STATUS_FAILED` sets `why` to the reason why not.
///
/// # Safety
/// The pointers and the slices are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_rules_admit(
    rules: *const Rules,
    info: *const InfoHandle,
    is_tls: bool,
    tls12: Slice,
    tls13: Slice,
    stage: Stage,
    why: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (rules, info, why) = unsafe { (rules.as_ref()?, info.as_ref(), why.as_mut()?) };
        // SAFETY: the caller promises valid slices.
        let suites = unsafe { (tls12.text(), tls13.text()) };
        let admitted = rules.admit(info.map(|info| &*info.0), is_tls, (&suites.0, &suites.1), stage);
        Some(answer(admitted, why))
    })
}

/// Whether `rules` accept requests with `method` as early data.
///
/// # Safety
/// The pointer and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_rules_allow_early(rules: *const Rules, method: Slice) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid, and a valid slice.
    unsafe {
        rules
            .as_ref()
            .is_some_and(|rules| rules.early_methods.allow(&method.text()))
    }
}

/// Whether `rules` have the option `FakeBasicAuth`.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_rules_fake_basic_auth(rules: *const Rules) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { rules.as_ref() }.is_some_and(|rules| rules.options.has(FAKE_BASIC_AUTH))
}

/// Whether `rules` have the option `StrictRequire`.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_rules_strict_require(rules: *const Rules) -> bool {
    // SAFETY: the caller promises that a pointer that is not null is valid.
    unsafe { rules.as_ref() }.is_some_and(|rules| rules.options.has(STRICT_REQUIRE))
}
