// SPDX-License-Identifier: Apache-2.0
//! Types of the interface, apart from handles.

use std::borrow::Cow;
use std::ffi::{CStr, c_char};
use std::slice;

use crate::guard::Status;

/// Borrowed bytes. `data` may be null if `len` is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Slice {
    /// The first byte.
    pub data: *const u8,
    /// The number of bytes.
    pub len: usize,
}

impl Slice {
    pub(crate) const EMPTY: Self = Self {
        data: std::ptr::null(),
        len: 0,
    };

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            data: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// `data` points to `len` bytes that stay as they are for `'a`.
    pub(crate) unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.data.is_null() {
            return &[];
        }
        // SAFETY: the caller promises `len` readable bytes.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }

    /// The bytes as text. Invalid UTF-8 is replaced.
    ///
    /// # Safety
    /// As for [`Self::bytes`].
    pub(crate) unsafe fn text<'a>(self) -> Cow<'a, str> {
        // SAFETY: the caller meets the requirements above.
        String::from_utf8_lossy(unsafe { self.bytes() })
    }

    /// The bytes; none if `data` is null.
    ///
    /// # Safety
    /// As for [`Self::bytes`].
    pub(crate) unsafe fn optional_bytes<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: the caller meets the requirements above.
        (!self.data.is_null()).then(|| unsafe { self.bytes() })
    }
}

/// Text that the caller owns, without a terminating zero. The caller frees it by `tls_text_free`.
#[derive(Debug)]
#[repr(C)]
pub struct OwnedText {
    /// The first byte; null if there is no text.
    pub data: *mut u8,
    /// The number of bytes.
    pub len: usize,
}

impl OwnedText {
    pub(crate) const NONE: Self = Self {
        data: std::ptr::null_mut(),
        len: 0,
    };

    pub(crate) fn give(text: impl Into<String>) -> Self {
        let bytes = text.into().into_bytes().into_boxed_slice();
        let len = bytes.len();
        Self {
            data: Box::into_raw(bytes).cast(),
            len,
        }
    }
}

/// Frees text. Null is ignored.
///
/// # Safety
/// `text` was filled by this interface and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_text_free(text: OwnedText) {
    if !text.data.is_null() {
        let bytes = std::ptr::slice_from_raw_parts_mut(text.data, text.len);
        // SAFETY: `give` made it from a boxed slice of this length, and the caller frees it once.
        drop(unsafe { Box::from_raw(bytes) });
    }
}

/// A list of names and values, for `tls_list_next`.
#[derive(Debug)]
pub struct List {
    pub(crate) items: Vec<(Cow<'static, str>, String)>,
    pub(crate) next: usize,
}

/// The next name and value of `list`, borrowed until the list is freed. `TLS_STATUS_FAILED` after the last one.
///
/// # Safety
/// The pointers are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_list_next(list: *mut List, name: *mut Slice, value: *mut Slice) -> Status {
    // SAFETY: the caller promises that pointers that are not null are valid.
    let (Some(list), Some(name), Some(value)) = (unsafe { (list.as_mut(), name.as_mut(), value.as_mut()) }) else {
        return Status::Invalid;
    };
    let Some((found_name, found_value)) = list.items.get(list.next) else {
        return Status::Failed;
    };
    *name = Slice::of(found_name.as_bytes());
    *value = Slice::of(found_value.as_bytes());
    list.next += 1;
    Status::Ok
}

/// Frees a list. Null is ignored.
///
/// # Safety
/// `list` was given out by this interface and is freed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tls_list_free(list: *mut List) {
    if !list.is_null() {
        // SAFETY: lists are given out as boxes, and the caller frees this one once.
        drop(unsafe { Box::from_raw(list) });
    }
}

/// The array that `data` and `len` describe; empty if `data` is null.
///
/// # Safety
/// `data` points to `len` elements that stay as they are for `'a`.
pub(crate) unsafe fn array<'a, T>(data: *const T, len: usize) -> &'a [T] {
    if data.is_null() {
        return &[];
    }
    // SAFETY: the caller promises `len` readable elements.
    unsafe { slice::from_raw_parts(data, len) }
}

/// The texts of an array of slices.
///
/// # Safety
/// `data` points to `len` valid slices.
pub(crate) unsafe fn words(data: *const Slice, len: usize) -> Vec<String> {
    // SAFETY: the caller meets the requirements above.
    let slices = unsafe { array(data, len) };
    // SAFETY: as above.
    slices.iter().map(|word| unsafe { word.text() }.into_owned()).collect()
}

/// The text of a C string; empty if the pointer is null. Invalid UTF-8 is replaced.
///
/// # Safety
/// `text` is a valid C string, or null.
pub(crate) unsafe fn c_text<'a>(text: *const c_char) -> Cow<'a, str> {
    match text.is_null() {
        true => Cow::Borrowed(""),
        // SAFETY: the caller meets the requirements above.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy(),
    }
}
