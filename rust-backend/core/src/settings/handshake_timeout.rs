// SPDX-License-Identifier: Apache-2.0
//! The time limit of handshakes: the `handshake=` stage of mod_reqtimeout's `RequestReadTimeout`.
//!
//! mod_reqtimeout checks the time when bytes arrive or a read blocks. While the MPM waits for a stalled client
//! no data is read, so `process::watch` wakes the connection at the end of this limit.

use crate::base::directive::Directive;

/// The limit of the handshake stage, all times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeTimeout {
    initial: u64,
    /// The upper limit; none if the time can be extended without limit.
    maximum: Option<u64>,
    /// The number of bytes that extends the limit by a second; none if nothing extends it.
    min_rate: Option<u64>,
}

impl HandshakeTimeout {
    /// The limit after `received` bytes, in milliseconds from the connection's start.
    pub fn after(&self, received: u64) -> u64 {
        let earned = self.min_rate.map_or(0, |rate| received * 1000 / rate);
        let limit = self.initial + earned;
        self.maximum.map_or(limit, |maximum| limit.min(maximum))
    }

    /// Reads the stage out of a `RequestReadTimeout` directive, whose syntax mod_reqtimeout has checked:
    /// `handshake=SECONDS`, `handshake=SECONDS,MinRate=RATE` or `handshake=SECONDS-SECONDS,MinRate=RATE`. `None` if the
    /// directive does not mention the stage; `Some(None)` if it sets no limit.
    pub fn parse(directive: &Directive) -> Option<Option<Self>> {
        directive.args.iter().rev().find_map(|word| Self::parse_stage(word))
    }

    fn parse_stage(word: &str) -> Option<Option<Self>> {
        let (stage, value) = word.split_once('=')?;
        if !stage.eq_ignore_ascii_case("handshake") {
            return None;
        }
        let (times, rate) = match value.split_once(',') {
            Some((times, rate)) => (times, rate.split_once('=').and_then(|(_, rate)| rate.parse().ok())),
            None => (value, None),
        };
        let (initial, maximum) = match times.split_once('-') {
            Some((initial, maximum)) => (initial, maximum.parse::<u64>().ok()),
            None => (times, None),
        };
        let initial: u64 = initial.parse().ok()?;
        Some((initial > 0).then_some(Self {
            initial: initial * 1000,
            maximum: maximum.filter(|maximum| *maximum > 0).map(|maximum| maximum * 1000),
            min_rate: rate.filter(|rate| *rate > 0),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostics::Origin;

    fn parse(args: &[&str]) -> Option<Option<HandshakeTimeout>> {
        HandshakeTimeout::parse(&Directive {
            in_section: false,
            name: "RequestReadTimeout".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            origin: Origin {
                file: "x".into(),
                line: 1,
            },
        })
    }

    #[test]
    fn forms() {
        assert_eq!(parse(&["header=20"]), None);
        assert_eq!(parse(&["handshake=0"]), Some(None));
        assert_eq!(
            parse(&["header=20-40,MinRate=500", "Handshake=5"])
                .unwrap()
                .unwrap()
                .after(10_000),
            5_000
        );
        let with_rate = parse(&["handshake=5,MinRate=100"]).unwrap().unwrap();
        assert_eq!(with_rate.after(200), 7_000);
        let with_limit = parse(&["handshake=5-6,MinRate=100"]).unwrap().unwrap();
        assert_eq!(with_limit.after(0), 5_000);
        assert_eq!(with_limit.after(200), 6_000);
    }
}
