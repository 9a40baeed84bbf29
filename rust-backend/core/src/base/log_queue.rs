// SPDX-License-Identifier: Apache-2.0
//! Messages that arise independently of a connection, queued until they can be logged.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::base::diagnostics::Severity;
use crate::base::directive_names::worded;

/// The maximum number of queued messages. The oldest are dropped first.
const CAPACITY: usize = 64;

/// Messages for the error log of this process.
#[derive(Debug, Default)]
pub struct LogQueue {
    waiting: AtomicBool,
    messages: Mutex<VecDeque<(Severity, String)>>,
    said_once: Mutex<Option<String>>,
}

impl LogQueue {
    /// Adds a message.
    pub fn add(&self, severity: Severity, text: impl Into<String>) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == CAPACITY {
            messages.pop_front();
        }
        messages.push_back((severity, worded(&text.into()).into_owned()));
        self.waiting.store(true, Ordering::Release);
    }

    /// Adds a message unless it equals the last message that was added with this function.
    pub fn add_once(&self, severity: Severity, text: String) {
        let mut said = self.said_once.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&text) {
            *said = Some(text.clone());
            drop(said);
            self.add(severity, text);
        }
    }

    /// Whether there are messages.
    pub fn has_messages(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Removes and returns the oldest message. The cost is negligible if the queue is empty.
    pub fn take(&self) -> Option<(Severity, String)> {
        if !self.has_messages() {
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
