// SPDX-License-Identifier: Apache-2.0
//! What happens on its own while the server runs, waiting to be logged by whoever can.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::base::diagnostics::Severity;
use crate::base::directive_names::worded;

/// How many messages wait at most. The oldest go first.
const CAPACITY: usize = 64;

/// Messages for the error log of this process.
#[derive(Debug, Default)]
pub struct Journal {
    waiting: AtomicBool,
    messages: Mutex<VecDeque<(Severity, String)>>,
    said_once: Mutex<Option<String>>,
}

impl Journal {
    /// Adds a message.
    pub fn add(&self, severity: Severity, text: impl Into<String>) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == CAPACITY {
            messages.pop_front();
        }
        messages.push_back((severity, worded(&text.into()).into_owned()));
        self.waiting.store(true, Ordering::Release);
    }

    /// Adds a message unless it was the last one to be added in this way.
    pub fn add_once(&self, severity: Severity, text: String) {
        let mut said = self.said_once.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&text) {
            *said = Some(text.clone());
            drop(said);
            self.add(severity, text);
        }
    }

    /// The oldest message that waits. Costs next to nothing where none does.
    pub fn take(&self) -> Option<(Severity, String)> {
        if !self.waiting.load(Ordering::Acquire) {
            return None;
        }
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let next = messages.pop_front();
        if messages.is_empty() {
            self.waiting.store(false, Ordering::Release);
        }
        next
    }
}
