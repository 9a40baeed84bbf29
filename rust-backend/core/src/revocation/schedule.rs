// SPDX-License-Identifier: Apache-2.0
//! When to fetch anew. All times are in seconds; points of time since 1970.

/// How soon what was fetched is fetched again at the earliest, unless it does not live that long.
const SOONEST: i64 = 60;
const SOONEST_OF_ALL: i64 = 2;

/// How soon what does not say when there will be a newer one.
const UNKNOWN_LIFE: i64 = 3600;

/// The pause after a first failure, which doubles with each further one.
const FIRST_PAUSE: i64 = 5;
const LONGEST_PAUSE: i64 = 3600;

/// How much times differ, in percent, so that thousands of certificates that were fetched at once are not fetched at once again.
const JITTER: i64 = 10;

/// `span`, longer or shorter by up to [`JITTER`]. `random` is evenly distributed.
fn spread(span: i64, random: u32) -> i64 {
    let range = span.saturating_mul(2 * JITTER) / 100;
    let offset = i64::from(random).saturating_mul(range) / i64::from(u32::MAX);
    span - range / 2 + offset
}

/// When to fetch what is valid from `this_update` until `next_update` again: at half of its life, and after `longest` at the latest.
///
/// # Examples
///
/// ```
/// use mod_tls_core::revocation::schedule::refresh_at;
///
/// let due = refresh_at(1_000_000, Some(1_172_800), 1_000_000, None, 0);
/// assert!((1_070_000..=1_090_000).contains(&due));
/// ```
pub fn refresh_at(this_update: i64, next_update: Option<i64>, now: i64, longest: Option<u32>, random: u32) -> i64 {
    let due = match next_update {
        Some(next) if next > this_update => {
            let half = spread((next - this_update) / 2, random);
            match this_update + half {
                // It is older than that already: the responder does not have a newer one each time.
                past if past <= now => now + spread((next - now) / 2, random),
                due => due,
            }
        }
        _ => now + spread(UNKNOWN_LIFE, random),
    };
    let latest = longest.map_or(i64::MAX, |longest| now + i64::from(longest).max(1));
    let left = next_update.map_or(i64::MAX, |next| next - now);
    let soonest = SOONEST.min(left / 2).max(SOONEST_OF_ALL);
    due.max(now + soonest).min(latest)
}

/// When to try again after `failures` in sequence, if what there is can be used until `until`. `pause` is a fixed pause.
pub fn retry_at(failures: u32, until: Option<i64>, now: i64, pause: Option<u32>, random: u32) -> i64 {
    if let Some(pause) = pause {
        return now + i64::from(pause).max(1);
    }
    let doubled = FIRST_PAUSE << failures.saturating_sub(1).min(16);
    let pause = spread(doubled.min(LONGEST_PAUSE), random);
    // The last hours of what there is are not slept through.
    let left = until
        .filter(|until| *until > now)
        .map_or(i64::MAX, |until| (until - now) / 4);
    now + pause.min(left.max(FIRST_PAUSE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    #[test]
    fn at_half_of_the_life() {
        let due = refresh_at(NOW, Some(NOW + 4 * DAY), NOW, None, u32::MAX / 2);
        assert!((due - NOW - 2 * DAY).abs() < 10);
        // Fetched late.
        let due = refresh_at(NOW - 3 * DAY, Some(NOW + DAY), NOW, None, u32::MAX / 2);
        assert!((due - NOW - DAY / 2).abs() < 10);
        assert_eq!(refresh_at(NOW, Some(NOW + 10), NOW, None, 7), NOW + 5);
        assert_eq!(refresh_at(NOW, Some(NOW + 100), NOW, None, 7), NOW + 50);
        assert_eq!(refresh_at(NOW - 9, Some(NOW), NOW, None, 7), NOW + SOONEST_OF_ALL);
        assert_eq!(refresh_at(NOW, Some(NOW + DAY), NOW, Some(3), 7), NOW + 3);
        assert!(refresh_at(NOW, None, NOW, None, 0) < NOW + UNKNOWN_LIFE);
    }

    #[test]
    fn pauses_grow() {
        let middle = u32::MAX / 2;
        let pause = |failures| retry_at(failures, None, NOW, None, middle) - NOW;
        assert!(pause(1) <= 5 && pause(2) >= 9 && pause(4) >= 35);
        assert!(pause(1000) <= LONGEST_PAUSE + LONGEST_PAUSE * JITTER / 100);
        assert_eq!(retry_at(1000, Some(NOW + 400), NOW, None, middle), NOW + 100);
        assert_eq!(retry_at(1000, Some(NOW + 4), NOW, None, middle), NOW + FIRST_PAUSE);
        assert!(retry_at(1000, Some(NOW - 400), NOW, None, middle) > NOW + 3000);
        assert_eq!(retry_at(9, None, NOW, Some(1), 7), NOW + 1);
    }

    proptest! {
        #[test]
        fn never_at_once(this: i32, next: Option<i32>, failures: u32, until: Option<i32>, random: u32) {
            let next = next.map(i64::from);
            prop_assert!(refresh_at(this.into(), next, NOW, None, random) >= NOW + SOONEST_OF_ALL);
            prop_assert!(refresh_at(this.into(), next, NOW, Some(0), random) > NOW);
            let due = retry_at(failures, until.map(i64::from), NOW, None, random);
            prop_assert!(due > NOW && due <= NOW + LONGEST_PAUSE * 2);
        }
    }
}
