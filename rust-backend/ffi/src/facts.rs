// SPDX-License-Identifier: Apache-2.0
//! Asking about an established connection.

use std::borrow::Cow;
use std::sync::Arc;

use mod_tls_core::base::directive_names::worded;
use mod_tls_core::info::facts::{Facts, server_variable};
use mod_tls_core::info::options::{FAKE_BASIC_AUTH, LEGACY_DN_STRING_FORMAT, Options, STRICT_REQUIRE};
use mod_tls_core::request::access;
use mod_tls_core::trust::client::demand::Demand;
use mod_tls_core::x509::Context;

use crate::guard::{Status, guard};
use crate::types::{List, OwnedText, Slice};

/// What is known about a connection. It does not change and may be asked by many threads.
#[derive(Debug)]
pub struct FactsHandle(pub(crate) Arc<Facts>);

/// Frees facts. Null is left alone.
///
/// # Safety
/// `facts` was given out by `tls_conn_facts` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_free(facts: *mut FactsHandle) {
    if !facts.is_null() {
        // SAFETY: facts are given out as boxes, and the caller frees these once.
        drop(unsafe { Box::from_raw(facts) });
    }
}

fn context(options: Options, now: i64) -> Context {
    Context::at(now).with_legacy_dn(options.has(LEGACY_DN_STRING_FORMAT))
}

/// The value of the variable `name`. `facts` may be null where no connection is meant: then only those variables are
/// known that every connection has in common. `options` are those where the question is asked, `now` is the time in seconds
/// since 1970. `TLS_STATUS_FAILED` if there is no such variable, or it has no value.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_variable(
    facts: *const FactsHandle,
    name: Slice,
    options: Options,
    now: i64,
    out: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and a valid slice.
        let (facts, name, out) = unsafe { (facts.as_ref(), name.text(), out.as_mut()?) };
        *out = OwnedText::NONE;
        let value = match facts {
            Some(facts) => facts.0.variable(&name, &context(options, now)),
            None => server_variable(&name),
        };
        match value {
            Some(value) => {
                *out = OwnedText::give(value);
                Some(Status::Ok)
            }
            None => Some(Status::Failed),
        }
    })
}

/// The variables for a request's environment. `tls_list_free` frees the list.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_environment(
    facts: *const FactsHandle,
    options: Options,
    now: i64,
    out: *mut *mut List,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (facts, out) = unsafe { (facts.as_ref()?, out.as_mut()?) };
        let items = facts.0.environment(options.into(), &context(options, now));
        *out = Box::into_raw(Box::new(List { items, next: 0 }));
        Some(Status::Ok)
    })
}

/// The values of an extension, an OID or a name that OpenSSL knows, in the client's certificate or in ours. The names in
/// the list are empty. `tls_list_free` frees the list.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_extension(
    facts: *const FactsHandle,
    of_client: bool,
    extension: Slice,
    out: *mut *mut List,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and a valid slice.
        let (facts, extension, out) = unsafe { (facts.as_ref()?, extension.text(), out.as_mut()?) };
        let values = facts.0.extension_values(of_client, &extension);
        let items = values.into_iter().map(|value| (Cow::Borrowed(""), value)).collect();
        *out = Box::into_raw(Box::new(List { items, next: 0 }));
        Some(Status::Ok)
    })
}

/// Whether requests may use the connection at all. `TLS_STATUS_FAILED` sets `why` to the reason why not.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_stand(facts: *const FactsHandle, why: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (facts, why) = unsafe { (facts.as_ref()?, why.as_mut()?) };
        Some(answer(facts.0.stands(), why))
    })
}

/// What a location wants of the connections that its requests come on.
#[derive(Debug)]
#[repr(C)]
pub struct AccessRules {
    /// The certificate that clients have to present.
    pub demand: Demand,
    /// How many CAs may be above it; negative if the location does not say.
    pub depth: i32,
    /// The cipher suites of TLS 1.2, as SSLCipherSuite lists them; empty for all.
    pub tls12: Slice,
    /// Those of TLS 1.3.
    pub tls13: Slice,
}

/// Whether the client is let in where `rules` hold. `facts` is null for a connection that is not ours: it has no client
/// certificate. `TLS_STATUS_FAILED` sets `why` to the reason why not.
///
/// # Safety
/// The pointers, and the slices in `rules`, are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_admit(
    facts: *const FactsHandle,
    rules: *const AccessRules,
    why: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (facts, rules, why) = unsafe { (facts.as_ref(), rules.as_ref()?, why.as_mut()?) };
        // SAFETY: the caller promises valid slices.
        let (tls12, tls13) = unsafe { (rules.tls12.text(), rules.tls13.text()) };
        let rules = access::AccessRules {
            demand: rules.demand,
            depth: usize::try_from(rules.depth).ok(),
            tls12: &tls12,
            tls13: &tls13,
        };
        Some(answer(rules.admit(facts.map(|facts| &*facts.0)), why))
    })
}

fn answer(result: Result<(), String>, why: &mut OwnedText) -> Status {
    match result {
        Ok(()) => Status::Ok,
        Err(text) => {
            *why = OwnedText::give(worded(&text));
            Status::Failed
        }
    }
}

/// The user name of a client whose certificate is good, for `FakeBasicAuth`. `TLS_STATUS_FAILED` if there is no such client.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_facts_fake_user(facts: *const FactsHandle, out: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (facts, out) = unsafe { (facts.as_ref()?, out.as_mut()?) };
        let Some(user) = facts.0.fake_user() else {
            return Some(Status::Failed);
        };
        *out = OwnedText::give(user);
        Some(Status::Ok)
    })
}

/// Whether `options` have `FakeBasicAuth` on.
#[unsafe(no_mangle)]
pub extern "C" fn tls_options_fake_basic_auth(options: Options) -> bool {
    options.has(FAKE_BASIC_AUTH)
}

/// Whether `options` have `StrictRequire` on.
#[unsafe(no_mangle)]
pub extern "C" fn tls_options_strict_require(options: Options) -> bool {
    options.has(STRICT_REQUIRE)
}
