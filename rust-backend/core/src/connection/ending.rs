// SPDX-License-Identifier: Apache-2.0
//! How a connection ends.

use rustls::AlertDescription;

use super::alert::plaintext_record;
use super::{Connection, State, UNKNOWN_SENDABLE};
use crate::base::panic_points;
use crate::process::counters::Counter;

impl Connection {
    /// Sends close_notify. It is not sent after a fatal alert.
    pub fn close(&mut self) {
        panic_points::point("close", self.hello.sni.as_deref());
        if let State::Live(live) = &mut self.state
            && !self.closing
        {
            self.closing = true;
            live.send_close_notify();
            self.sendable += UNKNOWN_SENDABLE;
        }
    }

    /// Ends the connection after a failure: the pending output of rustls is sent, then `alert`, unless rustls has sent
    /// one.
    pub(super) fn end(&mut self, alert: Option<AlertDescription>) {
        let State::Live(mut live) = std::mem::replace(&mut self.state, State::Failed) else {
            return;
        };
        // Writing to memory does not fail.
        while live.wants_write() && live.write_tls(&mut self.alert).is_ok() {}
        self.add_alert(alert);
    }

    /// Ends the connection after an internal error. The encryption state may be inconsistent, so nothing is sent,
    /// except in a handshake without keys.
    pub fn poison(&mut self) {
        self.config.counters().count(Counter::InternalErrors);
        let has_keys = matches!(self.state, State::Live(_)) || self.info.is_some();
        self.state = State::Failed;
        self.alert.clear();
        if !has_keys {
            self.alert
                .extend_from_slice(&plaintext_record(AlertDescription::InternalError));
        }
    }
}
