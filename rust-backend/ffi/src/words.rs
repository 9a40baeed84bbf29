// SPDX-License-Identifier: Apache-2.0
//! Words of directives that httpd reads while a request waits, because they may stand in .htaccess files.

use mod_tls_core::base::directive_names::worded;
use mod_tls_core::info::options::Options;
use mod_tls_core::mod_ssl::{self, suites};
use mod_tls_core::session::early_data::EarlyMethods;
use mod_tls_core::trust::client::demand::Demand;

use crate::guard::{Status, guard};
use crate::types::{OwnedText, Slice, words};

/// Reads the arguments of a `TLSOptions` directive, or (`is_mod_ssls`) of `SSLOptions`, over what `options` says already.
/// `TLS_STATUS_FAILED` sets `error` to what is wrong with them.
///
/// # Safety
/// The pointers are valid, and `args` has `arg_count` valid slices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_options_parse(
    options: *mut Options,
    args: *const Slice,
    arg_count: usize,
    is_mod_ssls: bool,
    error: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (options, error) = unsafe { (options.as_mut()?, error.as_mut()?) };
        // SAFETY: the caller promises `arg_count` valid slices.
        let words = unsafe { words(args, arg_count) };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match Options::parse(&words, is_mod_ssls) {
            Ok(parsed) => {
                *options = options.then(parsed);
                Some(Status::Ok)
            }
            Err(why) => {
                *error = OwnedText::give(worded(&why));
                Some(Status::Failed)
            }
        }
    })
}

/// What holds where `inner` was said inside of `outer`.
#[unsafe(no_mangle)]
pub extern "C" fn tls_options_merge(outer: Options, inner: Options) -> Options {
    outer.then(inner)
}

/// Reads the argument of a `TLSClientCertificate` directive. `TLS_STATUS_FAILED` sets `error` to what is wrong with it.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_demand_parse(word: Slice, out: *mut Demand, error: *mut OwnedText) -> Status {
    // SAFETY: the caller promises the same.
    unsafe { parse_word("TLSClientCertificate", Demand::parse, word, out, error) }
}

/// Reads the argument of an `SSLVerifyClient` directive. `TLS_STATUS_FAILED` sets `error` to what is wrong with it.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_ssl_demand_parse(word: Slice, out: *mut Demand, error: *mut OwnedText) -> Status {
    // SAFETY: the caller promises the same.
    unsafe { parse_word("SSLVerifyClient", mod_ssl::demand, word, out, error) }
}

/// Checks the arguments of an `SSLCipherSuite` directive in a section. `is_tls13` is set to whether they are about TLS 1.3.
/// `TLS_STATUS_FAILED` sets `error` to what is wrong with them.
///
/// # Safety
/// The pointers are valid, and `args` has `arg_count` valid slices.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_ssl_suites_check(
    args: *const Slice,
    arg_count: usize,
    is_tls13: *mut bool,
    error: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (is_tls13, error) = unsafe { (is_tls13.as_mut()?, error.as_mut()?) };
        // SAFETY: the caller promises `arg_count` valid slices.
        let words = unsafe { words(args, arg_count) };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match suites::parse(&words) {
            Ok((about_tls13, _)) => {
                *is_tls13 = about_tls13;
                Some(Status::Ok)
            }
            Err(why) => {
                *error = OwnedText::give(format!("SSLCipherSuite {why}"));
                Some(Status::Failed)
            }
        }
    })
}

/// Reads the argument of a `TLSEarlyDataMethods` directive. `TLS_STATUS_FAILED` sets `error` to what is wrong with it.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_early_methods_parse(word: Slice, out: *mut EarlyMethods, error: *mut OwnedText) -> Status {
    // SAFETY: the caller promises the same.
    unsafe { parse_word("TLSEarlyDataMethods", EarlyMethods::parse, word, out, error) }
}

/// Whether a request with `method` may come as early data where `methods` holds.
///
/// # Safety
/// The slice is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_early_methods_allow(methods: EarlyMethods, method: Slice) -> bool {
    // SAFETY: the caller promises a valid slice.
    methods.allow(&unsafe { method.text() })
}

/// Reads the argument of a directive that stands in sections and in .htaccess files.
///
/// # Safety
/// The pointers that are not null, and the slice, are valid.
unsafe fn parse_word<T>(
    directive: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    word: Slice,
    out: *mut T,
    error: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and a valid slice.
        let (word, out, error) = unsafe { (word.text(), out.as_mut()?, error.as_mut()?) };
        match parse(&word) {
            Ok(value) => {
                *out = value;
                Some(Status::Ok)
            }
            Err(why) => {
                *error = OwnedText::give(format!("{directive} {why}"));
                Some(Status::Failed)
            }
        }
    })
}
