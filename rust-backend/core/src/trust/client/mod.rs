// SPDX-License-Identifier: Apache-2.0
//! Client certificates: which are required, and the result of their verification.

pub mod verifier;
pub mod verify_mode;
pub mod verify_result;
