// SPDX-License-Identifier: Apache-2.0
//! The limit of descriptors: each worker thread of httpd has its own connection.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one.
pub(super) fn raise_descriptors() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        format!(
            "the limit of open files could not be raised to {} ({error}); it stays {}, and each worker thread of httpd \
             needs one: raise it with LimitNOFILE= in the systemd unit of httpd, or with ulimit -n",
            number(limit.maximum),
            number(limit.current),
        )
    })
}

/// A limit for messages.
pub(super) fn number(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
