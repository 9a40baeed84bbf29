// SPDX-License-Identifier: Apache-2.0
//! Conditions on the arguments of system calls.

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{BackendError, SeccompCondition, SeccompRule};

/// One rule for each value that the argument `index`, an `int`, may have.
pub(super) fn one_of(index: u8, values: &[u32]) -> Result<Vec<SeccompRule>, BackendError> {
    values
        .iter()
        .map(|&value| SeccompRule::new(vec![SeccompCondition::new(index, Dword, Eq, value.into())?]))
        .collect()
}

/// The argument `index`, an `int`, is not `value`.
pub(super) fn is_not(index: u8, value: u32) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![SeccompRule::new(vec![SeccompCondition::new(
        index,
        Dword,
        Ne,
        value.into(),
    )?])?])
}

/// Of the bits `mask` of the argument `index`, exactly `bits` are set.
pub(super) fn bits(index: u8, mask: u64, bits: u64) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![SeccompRule::new(vec![SeccompCondition::new(
        index,
        Qword,
        MaskedEq(mask),
        bits,
    )?])?])
}

/// The argument `index`, a pointer, is null.
pub(super) fn null(index: u8) -> Result<Vec<SeccompRule>, BackendError> {
    Ok(vec![SeccompRule::new(vec![SeccompCondition::new(
        index, Qword, Eq, 0,
    )?])?])
}
