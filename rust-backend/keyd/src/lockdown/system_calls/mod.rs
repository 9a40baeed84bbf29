// SPDX-License-Identifier: Apache-2.0
//! seccomp: which system calls this process can make.
//!
//! Without tokens there is a list of what is allowed, and everything else fails with EPERM. With tokens, the code of a
//! vendor runs here, so there is only a list of what is forbidden.

mod allowed;
mod conditions;
mod forbidden;
#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;

use std::collections::BTreeMap;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter};

/// System calls, each with the conditions of which one must be met; an empty list is no condition.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const REFUSE: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// Filters the system calls of this thread and of those that it starts. Nothing takes a filter away.
pub(super) fn restrict(tokens: bool) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .ok()
        .filter(|_| cfg!(any(target_arch = "x86_64", target_arch = "aarch64")))
        .ok_or_else(|| {
            format!(
                "there is no seccomp filter for {}, only for x86_64 and aarch64: tls-keyd can make every system call",
                std::env::consts::ARCH
            )
        })?;
    enforce(tokens, arch).map_err(|error| {
        format!(
            "the seccomp filter could not be set ({error}): tls-keyd can make every system call; use a kernel with \
             CONFIG_SECCOMP_FILTER, and a container that allows seccomp"
        )
    })
}

fn enforce(tokens: bool, arch: TargetArch) -> Result<(), seccompiler::Error> {
    programs(tokens, arch)?
        .iter()
        .try_for_each(|program| apply_filter(program))
}

/// The filters, in the order in which they are set. The kernel asks all of them, and the strictest answer counts.
fn programs(tokens: bool, arch: TargetArch) -> Result<[BpfProgram; 2], BackendError> {
    // A filter cannot see the flags of clone3. With ENOSYS, C libraries turn to clone, whose flags it can see.
    let no_clone3 = Rules::from([(libc::SYS_clone3, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    Ok([
        compile(no_clone3, SeccompAction::Allow, missing, arch)?,
        match tokens {
            // This one comes last, for it forbids to set another one.
            false => compile(allowed::rules()?, REFUSE, SeccompAction::Allow, arch)?,
            true => compile(forbidden::rules()?, SeccompAction::Allow, REFUSE, arch)?,
        },
    ])
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matching, arch)?.try_into()
}
