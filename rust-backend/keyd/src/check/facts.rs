// SPDX-License-Identifier: Apache-2.0
//! What the kernel says of this process, in the words of `/proc/PID/status`, so that both can be compared.

use std::fs::File;
use std::io::{self, Read};

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use rustix::thread::{CapabilitiesSecureBits, capabilities_secure_bits};

/// The fields of `/proc/PID/status` that say what a process has and can do; proc_pid_status(5).
const FIELDS: &[&str] = &[
    "Uid",
    "Gid",
    "Groups",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
    "VmLck",
];

/// `/proc/self/status`, opened while that is possible. What is read from it is the state at the time of reading.
pub(super) struct Status(io::Result<File>);

impl Status {
    pub(super) fn open() -> Self {
        Self(File::open("/proc/self/status"))
    }

    fn text(self) -> io::Result<String> {
        let mut text = String::new();
        self.0?.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// Names and values.
pub(super) fn facts(status: Status) -> Vec<(&'static str, String)> {
    let mut facts = match status.text() {
        Ok(text) => FIELDS
            .iter()
            .filter_map(|name| Some((*name, field(&text, name)?)))
            .collect(),
        Err(error) => vec![("/proc/self/status", error.to_string())],
    };
    let dumpable = match dumpable_behavior() {
        Ok(DumpableBehavior::NotDumpable) => "no".to_owned(),
        Ok(_) => "yes".to_owned(),
        Err(error) => error.to_string(),
    };
    facts.push(("dumpable", dumpable));
    let bits = capabilities_secure_bits().map(|bits: CapabilitiesSecureBits| format!("{:#x}", bits.bits()));
    facts.push(("secure bits", bits.unwrap_or_else(|error| error.to_string())));
    for (what, resource) in [
        ("limit of core dumps", Resource::Core),
        ("limit of locked memory", Resource::Memlock),
        ("limit of open files", Resource::Nofile),
    ] {
        let limit = getrlimit(resource).current;
        facts.push((
            what,
            limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string()),
        ));
    }
    facts
}

/// The value of one field, its words with one space between them.
fn field(status: &str, name: &str) -> Option<String> {
    status.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "Seccomp_filters:\t2\nSeccomp:\t1\nUid:\t0\t0\t0\t0\nGroups:\t \n";
        assert_eq!(field(status, "Seccomp").as_deref(), Some("1"));
        assert_eq!(field(status, "Uid").as_deref(), Some("0 0 0 0"));
        assert_eq!(field(status, "Groups").as_deref(), Some(""));
        assert_eq!(field(status, "Gid"), None);
    }
}
