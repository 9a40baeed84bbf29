// SPDX-License-Identifier: Apache-2.0
//! How a connection ends.

use rustls::AlertDescription;

use super::alert::plaintext_record;
use super::{Connection, State};
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
        }
    }

    /// Ends the connection after a failure: the pending output of rustls is sent, then `alert`, unless rustls has sent
    /// one.
    pub(super) fn end(&mut self, alert: Option<AlertDescription>) {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Live(live) => State::Ending(live),
            other => {
                self.state = other;
                return;
            }
        };
        self.add_alert(alert);
    }

    /// Ends the connection after an internal error. The encryption state may be inconsistent, so nothing is sent,
    /// except in a handshake without keys.
    pub fn poison(&mut self) {
        self.config.counters().count(Counter::InternalErrors);
        let has_keys = matches!(self.state, State::Live(_) | State::Ending(_)) || self.info.is_some();
        self.retire();
        self.alerts.truncate(self.lent.alerts);
        if !has_keys {
            self.alerts
                .push(plaintext_record(AlertDescription::InternalError).into());
        }
    }
}
