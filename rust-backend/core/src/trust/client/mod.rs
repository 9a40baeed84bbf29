// SPDX-License-Identifier: Apache-2.0
//! Client certificates: which are required, and the result of their verification.

pub mod demand;
pub mod verdict;
pub mod verifier;
