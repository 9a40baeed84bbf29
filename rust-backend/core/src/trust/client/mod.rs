// SPDX-License-Identifier: Apache-2.0
//! Client certificates: who must present one, and what became of it.

pub mod demand;
pub mod verdict;
pub mod verifier;
