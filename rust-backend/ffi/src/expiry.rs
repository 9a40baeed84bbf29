// SPDX-License-Identifier: Apache-2.0
//! Certificates that expire.

use mod_tls_core::base::clock::unix_now;

use crate::config::ConfigHandle;
use crate::guard::{Status, guard};
use crate::types::List;

/// Looks for certificates of a new configuration that expire soon. Later, `tls_config_tick` does. What there is to say is queued
/// for the error log.
///
/// # Safety
/// The pointer is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_check_expiry(config: *const ConfigHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises that a pointer that is not null is valid.
        unsafe { config.as_ref()? }.0.check_expiry(unix_now(), true);
        Some(Status::Ok)
    })
}

/// The program of `TLSExpiryCommand` and its arguments, as the values of a list, for the next certificate that expires.
/// `tls_list_free` frees the list. `TLS_STATUS_FAILED` if there is none.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_config_next_expiry_command(config: *const ConfigHandle, out: *mut *mut List) -> Status {
    guard(|| {
        // SAFETY: the caller promises that pointers that are not null are valid.
        let (config, out) = unsafe { (config.as_ref()?, out.as_mut()?) };
        let Some(words) = config.0.next_expiry_command() else {
            return Some(Status::Failed);
        };
        let items = words.into_iter().map(|word| ("".into(), word)).collect();
        *out = Box::into_raw(Box::new(List { items, next: 0 }));
        Some(Status::Ok)
    })
}
