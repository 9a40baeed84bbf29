// SPDX-License-Identifier: Apache-2.0
//! The parameters and variables of an established connection.

use std::borrow::Cow;
use std::sync::Arc;

use mod_tls_core::base::directive_names::worded;
use mod_tls_core::info::connection_info::{ConnectionInfo, server_variable};
use mod_tls_core::info::options::{LEGACY_DN_STRING_FORMAT, Options};
use mod_tls_core::x509::Context;

use crate::guard::{Status, guard};
use crate::types::{List, OwnedText, Slice};

/// The parameters of a connection. They are immutable and may be read by several threads.
#[derive(Debug)]
pub struct InfoHandle(pub(crate) Arc<ConnectionInfo>);

/// Frees info. Null is ignored.
///
/// # Safety
/// `info` was given out by `tls_conn_info` and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_info_free(info: *mut InfoHandle) {
    if !info.is_null() {
        // SAFETY: info are given out as boxes, and the caller frees these once.
        drop(unsafe { Box::from_raw(info) });
    }
}

fn context(options: Options, now: i64) -> Context {
    Context::at(now).with_legacy_dn(options.has(LEGACY_DN_STRING_FORMAT))
}

/// The value of the variable `name`. If `info` is null, only variables that do not depend on a connection have values.
/// `options` are those of the place where the variable is used, `now` is the time in seconds since 1970.
/// `TLS_STATUS_FAILED` if there is no such variable, or it has no value.
///
/// # Safety
/// The pointers and the slice are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_info_variable(
    info: *const InfoHandle,
    name: Slice,
    options: Options,
    now: i64,
    out: *mut OwnedText,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and a valid slice.
        let (info, name, out) = unsafe { (info.as_ref(), name.text(), out.as_mut()?) };
        *out = OwnedText::NONE;
        let value = match info {
            Some(info) => info.0.variable(&name, &context(options, now)),
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

/// The variables for the environment of a request. `tls_list_free` frees the list.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_info_environment(
    info: *const InfoHandle,
    options: Options,
    now: i64,
    out: *mut *mut List,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (info, out) = unsafe { (info.as_ref()?, out.as_mut()?) };
        let items = info.0.environment(options.into(), &context(options, now));
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
pub unsafe extern "C" fn tls_info_extension(
    info: *const InfoHandle,
    of_client: bool,
    extension: Slice,
    out: *mut *mut List,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid, and a valid slice.
        let (info, extension, out) = unsafe { (info.as_ref()?, extension.text(), out.as_mut()?) };
        let values = info.0.extension_values(of_client, &extension);
        let items = values.into_iter().map(|value| (Cow::Borrowed(""), value)).collect();
        *out = Box::into_raw(Box::new(List { items, next: 0 }));
        Some(Status::Ok)
    })
}

/// Checks that requests may use the connection. `TLS_STATUS_FAILED` sets `why` to the reason why not.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_info_stand(info: *const InfoHandle, why: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (info, why) = unsafe { (info.as_ref()?, why.as_mut()?) };
        Some(answer(info.0.stands(), why))
    })
}

pub(crate) fn answer(result: Result<(), String>, why: &mut OwnedText) -> Status {
    match result {
        Ok(()) => Status::Ok,
        Err(text) => {
            *why = OwnedText::give(worded(&text));
            Status::Failed
        }
    }
}

/// The user name for `FakeBasicAuth`. `TLS_STATUS_FAILED` if the client has no verified certificate.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_info_fake_user(info: *const InfoHandle, out: *mut OwnedText) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (info, out) = unsafe { (info.as_ref()?, out.as_mut()?) };
        let Some(user) = info.0.fake_user() else {
            return Some(Status::Failed);
        };
        *out = OwnedText::give(user);
        Some(Status::Ok)
    })
}
