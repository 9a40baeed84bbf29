// SPDX-License-Identifier: Apache-2.0
//! Counts what happens in the session cache that all child processes share.

use std::sync::Arc;

use crate::process::Process;
use crate::process::counters::Counter;
use crate::session::resumption::SharedCache;

/// A cache whose use is counted.
#[derive(Debug)]
pub(crate) struct CountedCache {
    pub(crate) process: Arc<Process>,
    pub(crate) cache: Box<dyn SharedCache>,
}

impl CountedCache {
    fn counted(&self, found: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let counter = match found {
            Some(_) => Counter::SessionsFound,
            None => Counter::SessionsNotFound,
        };
        self.process.counters.count(counter);
        found
    }
}

impl SharedCache for CountedCache {
    fn store(&self, id: &[u8], value: &[u8], lifetime: u32) -> bool {
        let is_stored = self.cache.store(id, value, lifetime);
        let counter = match is_stored {
            true => Counter::SessionsStored,
            false => Counter::SessionsNotStored,
        };
        self.process.counters.count(counter);
        is_stored
    }

    fn retrieve(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.counted(self.cache.retrieve(id))
    }

    fn take(&self, id: &[u8]) -> Option<Vec<u8>> {
        self.counted(self.cache.take(id))
    }
}
