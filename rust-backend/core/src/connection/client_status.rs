// SPDX-License-Identifier: Apache-2.0
//! What has to be asked about the certificate of a client, after the handshake and before its first request.
//!
//! rustls verifies certificates synchronously. A certificate about which others have to be asked is accepted there, and what the
//! client sends is kept until there is an answer; what it is to get in return waits as well.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::failure::Failure;
use super::{Connection, Event, State, alert};
use crate::base::clock::unix_now;
use crate::process::counters::Counter;
use crate::revocation::questions::{Asked, Question};
use crate::trust::path::MAX_QUESTIONS;

/// A question that was asked.
#[derive(Debug)]
pub(super) struct Awaited {
    asked: Asked,
    question: Question,
    /// How many were asked so far.
    count: usize,
}

impl Connection {
    /// Whether an answer is awaited. Called when the client has proved who it is, or has resumed its session.
    pub(super) fn awaits_answer(&mut self) -> Result<bool, Failure> {
        match (&self.awaited, &self.verification) {
            (Some(_), _) => Ok(true),
            (None, Some(_)) => self.ask_next(None),
            (None, None) => Ok(false),
        }
    }

    /// Asks what is to be asked after `before`. False if there is nothing, or if there is nobody to ask: then the client is accepted, or
    /// refused.
    fn ask_next(&mut self, before: Option<Awaited>) -> Result<bool, Failure> {
        let (State::Live(live), Some(verification)) = (&self.state, &self.verification) else {
            return Ok(false);
        };
        let chain = live.peer_certificates().unwrap_or_default();
        let Some(question) = verification.question(chain, unix_now()) else {
            // A result of the handshake itself was checked there.
            return match before {
                Some(_) => self.decide().map(|()| false),
                None => Ok(false),
            };
        };
        let count = before.as_ref().map_or(0, |before| before.count) + 1;
        let is_new = before.is_none_or(|before| before.question != question);
        let asked = (is_new && count <= MAX_QUESTIONS).then(|| verification.ask(&question));
        match asked.flatten() {
            Some(asked) => {
                self.awaited = Some(Awaited { asked, question, count });
                Ok(true)
            }
            None => self.decide().map(|()| false),
        }
    }

    /// Accepts or refuses the client: there is nothing more to ask.
    fn decide(&mut self) -> Result<(), Failure> {
        let (State::Live(live), Some(verification)) = (&self.state, &self.verification) else {
            return Ok(());
        };
        let chain = live.peer_certificates().unwrap_or_default();
        verification.decide(chain, unix_now()).map_err(|error| {
            self.end(alert::for_error(&error));
            self.config.counters().count(Counter::FailedHandshakes);
            self.failure(&error)
        })
    }

    /// After [`Event::Awaiting`]: goes on if there is an answer. With `waits`, it is waited for. The event is again
    /// [`Event::Awaiting`] if there is none yet.
    pub fn answered(&mut self, waits: bool) -> Result<Event, Failure> {
        while let Some(awaited) = self.awaited.take() {
            if waits {
                awaited.asked.wait();
            } else if !awaited.asked.is_over() {
                self.awaited = Some(awaited);
                return Ok(Event::Awaiting);
            }
            self.ask_next(Some(awaited))?;
        }
        self.progress()
    }

    /// What becomes readable when there is an answer, and for how long to wait for it. None if no answer is awaited.
    pub fn awaited(&self) -> Option<(BorrowedFd<'_>, Duration)> {
        let awaited = self.awaited.as_ref()?;
        Some((awaited.asked.descriptor(), awaited.asked.remaining()))
    }
}
