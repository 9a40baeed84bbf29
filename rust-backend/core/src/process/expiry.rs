// SPDX-License-Identifier: Apache-2.0
//! Certificates that expire: what was said about them, and what the command of `TLSExpiryCommand` is still to be told.
//!
//! It is said once for each certificate when 30, 14, 7 and 1 days are left, and when it has expired, also over reloads. A number of
//! days counts only if it is at most half of the certificate's lifetime: a certificate for a week would always expire soon.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use crate::base::clock::rfc3339;
use crate::base::lock::lock;
use crate::base::log_codes::Code;
use crate::keys::identity::Identity;

const DAY: i64 = 24 * 60 * 60;

/// The days that are left when something is said.
const THRESHOLDS: [i64; 5] = [0, 1, 7, 14, 30];

/// A certificate that expires, or has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The days that are left, to the nearest; negative if it has expired.
    pub days: i64,
    /// The notAfter time, in seconds since 1970.
    pub not_after: i64,
    /// The file of the certificate.
    pub file: String,
    /// The host, or what else uses the certificate.
    pub host: String,
    /// The number of other hosts that use it.
    pub others: usize,
    /// Whether its file is watched, so that a new one is used without a reload.
    pub is_watched: bool,
}

/// What uses a certificate.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The host, or what else it is.
    pub name: &'a str,
    /// Whether the file is watched.
    pub is_watched: bool,
}

impl Notice {
    /// The code.
    pub fn code(&self) -> Code {
        match self.days {
            ..0 => Code::Expired,
            _ => Code::Expires,
        }
    }

    /// The notAfter time, as text.
    pub fn date(&self) -> String {
        rfc3339(self.not_after.saturating_mul(1_000_000))
    }

    /// The message for the error log.
    pub fn text(&self) -> String {
        let host = match self.others {
            0 => self.host.clone(),
            1 => format!("{} and 1 other host", self.host),
            others => format!("{} and {others} other hosts", self.host),
        };
        let what = match self.days {
            ..0 => "has expired".to_owned(),
            0 => "expires in less than a day".to_owned(),
            1 => "expires in 1 day".to_owned(),
            days => format!("expires in {days} days"),
        };
        let remedy = if self.is_watched {
            "renew it"
        } else {
            "renew it and reload"
        };
        let (file, date, code) = (&self.file, self.date(), self.code());
        format!("{file}, the certificate of {host}, {what} ({date}): {remedy} [{code}]")
    }
}

/// What was said, by certificate: the least threshold, and notAfter.
type Said = HashMap<[u8; 32], (i64, i64)>;

/// Certificates that expire. Kept over reloads.
#[derive(Debug, Default)]
pub struct Expiry {
    said: Mutex<Said>,
    /// What the command is still to be told.
    pending: Mutex<VecDeque<Notice>>,
}

/// The threshold that a certificate with this validity has reached at `now`.
fn reached((not_before, not_after): (i64, i64), now: i64) -> Option<i64> {
    // Many certificates end a second before their last day is over.
    let lifetime = not_after.saturating_sub(not_before).saturating_add(DAY - 1) / DAY;
    let left = not_after.saturating_sub(now);
    let is_reached = |days: &i64| left <= days * DAY && 2 * days <= lifetime;
    THRESHOLDS.into_iter().find(is_reached)
}

/// Whole days. Any time after the end is at least one.
fn days_of(left: i64) -> i64 {
    match left {
        ..0 => left.div_euclid(DAY),
        _ => (left + DAY / 2) / DAY,
    }
}

impl Expiry {
    /// What there is to say at `now` (seconds since 1970) about certificates and what uses them.
    pub fn check<'a>(
        &self,
        certificates: impl Iterator<Item = (Cow<'a, Arc<Identity>>, User<'a>)>,
        now: i64,
    ) -> Vec<Notice> {
        let mut said = lock(&self.said);
        let mut due: HashMap<[u8; 32], Notice> = HashMap::new();
        for (identity, user) in certificates {
            let (_, not_after) = identity.validity();
            let Some(threshold) = reached(identity.validity(), now) else {
                continue;
            };
            let id = identity.id();
            if let Some(notice) = due.get_mut(&id) {
                notice.others += 1;
            } else if said.get(&id).is_none_or(|(before, _)| threshold < *before) {
                said.insert(id, (threshold, not_after));
                let notice = Notice {
                    days: days_of(not_after.saturating_sub(now)),
                    not_after,
                    file: identity.name().to_string(),
                    host: user.name.to_owned(),
                    others: 0,
                    is_watched: user.is_watched,
                };
                due.insert(id, notice);
            }
        }
        // What has expired long ago is not used any more.
        said.retain(|_, (_, not_after)| now.saturating_sub(*not_after) < 366 * DAY);
        let mut due: Vec<Notice> = due.into_values().collect();
        due.sort_by(|one, other| (one.not_after, &one.file).cmp(&(other.not_after, &other.file)));
        due
    }

    /// Adds notices that the command is to be told.
    pub fn add_pending(&self, notices: &[Notice]) {
        let mut pending = lock(&self.pending);
        pending.extend(notices.iter().cloned());
    }

    /// Removes and returns the next notice for the command.
    pub fn next_pending(&self) -> Option<Notice> {
        lock(&self.pending).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const A: User<'static> = User {
        name: "a.test",
        is_watched: true,
    };

    /// A certificate for January 2030 to December 2030.
    fn identity() -> (Arc<Identity>, i64) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 12, 1);
        let certificate = params.self_signed(&key).unwrap().pem() + &key.serialize_pem();
        let identity = Identity::from_pem("a.pem", certificate.as_bytes(), None).unwrap();
        let end = identity.validity().1;
        (Arc::new(identity), end)
    }

    #[test]
    fn each_number_of_days_is_said_once() {
        let (identity, end) = identity();
        let expiry = Expiry::default();
        let check = |now| {
            let hosts = ["a.test", "b.test"].map(|name| User { name, ..A });
            let notices = expiry.check(hosts.into_iter().map(|host| (Cow::Borrowed(&identity), host)), now);
            notices.iter().map(Notice::text).collect::<Vec<_>>()
        };
        assert!(check(end - 31 * DAY).is_empty());
        assert_eq!(
            check(end - 30 * DAY),
            [
                "a.pem, the certificate of a.test and 1 other host, expires in 30 days (2030-12-01T00:00:00Z): renew it \
              [TLS4001]"
            ]
        );
        assert!(check(end - 14 * DAY - 1).is_empty());
        assert!(
            check(end - 7 * DAY)[0].contains("expires in 7 days"),
            "14 was missed, and is not said any more"
        );
        assert!(check(end - 7 * DAY + 1).is_empty() && check(end - DAY - 1).is_empty());
        assert!(check(end - DAY + 9)[0].contains("expires in 1 day ("));
        assert!(check(end - DAY + 60).is_empty() && check(end - 1).is_empty());
        assert!(check(end + 1)[0].contains("has expired (2030-12-01T00:00:00Z): renew it [TLS4002]"));
        assert!(check(end + DAY).is_empty());
    }

    #[test]
    fn short_lifetimes() {
        let at = |lifetime: i64, left: i64| reached((0, lifetime * DAY), (lifetime - left) * DAY);
        assert_eq!(at(365, 30), Some(30));
        assert_eq!((at(90, 31), at(90, 30), at(90, 14)), (None, Some(30), Some(14)));
        assert_eq!(reached((1, 90 * DAY), 60 * DAY), Some(30));
        assert_eq!((at(60, 30), at(59, 30), at(59, 14)), (Some(30), None, Some(14)));
        assert_eq!((at(45, 30), at(45, 14), at(45, 7)), (None, Some(14), Some(7)));
        assert_eq!((at(6, 3), at(6, 1), at(6, 0)), (None, Some(1), Some(0)));
        assert_eq!((at(1, 1), at(1, 0)), (None, Some(0)));
        assert_eq!(reached((i64::MIN, i64::MAX), 0), None);
    }

    #[test]
    fn days() {
        let of = |days: f64| days_of((days * DAY as f64) as i64);
        assert_eq!(
            [of(13.9), of(13.4), of(1.0), of(0.4), of(-0.1), of(-1.5)],
            [14, 13, 1, 0, -1, -2]
        );
    }

    #[test]
    fn pending() {
        let expiry = Expiry::default();
        let (identity, end) = identity();
        expiry.add_pending(&expiry.check([(Cow::Borrowed(&identity), A)].into_iter(), end - 14 * DAY));
        let notice = expiry.next_pending().unwrap();
        assert_eq!(
            (notice.days, notice.host.as_str(), notice.date().as_str()),
            (14, "a.test", "2030-12-01T00:00:00Z")
        );
        assert_eq!(expiry.next_pending(), None);
    }
}
