// SPDX-License-Identifier: Apache-2.0
//! seccomp: which system calls this process can make.
//!
//! Without tokens there is a list of what is allowed, and everything else fails with EPERM. With tokens, the code of a
//! vendor runs here, so there is only a list of what is forbidden.

mod allowed;
mod conditions;
mod forbidden;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch, apply_filter};

/// System calls, each with the conditions of which one must be met; an empty list is no condition.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const REFUSE: SeccompAction = SeccompAction::Errno(libc::EPERM as u32);

/// Filters the system calls of this thread and of those that it starts. Nothing takes a filter away. With `files`, those are
/// allowed that notice changes of files.
pub(super) fn restrict(tokens: bool, files: bool) -> Result<(), String> {
    enforce(tokens, files).map_err(|error| {
        format!(
            "the seccomp filter could not be set ({error}): tls-keyd can make every system call; use a kernel with \
             CONFIG_SECCOMP_FILTER, and a container that allows seccomp"
        )
    })
}

fn enforce(tokens: bool, files: bool) -> Result<(), seccompiler::Error> {
    programs(tokens, files)?
        .iter()
        .try_for_each(|program| apply_filter(program))
}

/// The filters, in the order in which they are set. The kernel asks all of them, and the strictest answer counts.
fn programs(tokens: bool, files: bool) -> Result<[BpfProgram; 2], BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    // A filter cannot see the flags of clone3. With ENOSYS, C libraries turn to clone, whose flags it can see.
    let no_clone3 = Rules::from([(libc::SYS_clone3, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    Ok([
        compile(no_clone3, SeccompAction::Allow, missing, arch)?,
        match tokens {
            // This one comes last, for it forbids to set another one.
            false => compile(allowed::rules(files)?, REFUSE, SeccompAction::Allow, arch)?,
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
