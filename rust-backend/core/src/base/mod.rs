// SPDX-License-Identifier: Apache-2.0
//! Utilities that all rooms use: the clock, directives as text, messages for the administrator, reading of files.
//!
//! May use: directives.

pub mod clock;
pub mod copy_on_write;
pub mod diagnostics;
pub mod directive;
pub mod directive_names;
pub mod file_reading;
pub mod host_name;
pub mod lock;
pub mod log_codes;
pub mod log_queue;
pub mod memory_file;
pub mod panic_points;
pub mod pin_values;
pub mod place;
pub(crate) mod punycode;
pub(crate) mod shell;
pub mod slots;
pub mod stamp;
pub mod watched;
pub mod wildcard;
