// SPDX-License-Identifier: Apache-2.0
//! Session ticket keys that every child process derives independently.
//!
//! All child processes must accept each other's tickets, including processes that start hours later, without a lock
//! between them. The parent process generates one random secret before it forks, and time is divided into periods. The
//! state of each period is a one-way function (HKDF, RFC 5869) of the state of the previous period. Every process
//! derives the same keys from the state and the clock. An attacker who obtains a state can compute later ones, but no
//! earlier ones.

use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zeroize::Zeroizing;

use crate::base::clock::unix_now;
use crate::crypto::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use crate::crypto::{SESSION_AEAD, fill_random, hkdf};

/// The length of a period in seconds: six hours.
pub const PERIOD: u64 = 6 * 60 * 60;

/// The default session lifetime in seconds: twelve hours.
pub const DEFAULT_LIFETIME: u32 = 12 * 60 * 60;

/// The maximum session lifetime: RFC 8446 section 4.6.1 limits tickets to seven days.
pub const MAX_LIFETIME: u32 = 7 * 24 * 60 * 60;

/// 2026-01-01T00:00:00Z. Servers that share a seed file count their periods from this time, so that the periods do not
/// depend on when a server was started.
const ORIGIN: u64 = 1_767_225_600;

/// The minimum size of a seed file: the entropy of one AES-256 key.
pub const MIN_SEED: usize = 32;

const KEY_NAME_LEN: usize = 8;

/// The size of an encoded [`RatchetState`].
const STATE_LEN: usize = 8 + 32;

/// The keys of one period.
struct PeriodKeys {
    name: [u8; KEY_NAME_LEN],
    key: LessSafeKey,
}

struct Ratchet {
    /// The period of `state`, counted from [`ORIGIN`].
    period: u64,
    state: Zeroizing<[u8; 32]>,
    /// Newest first: the keys of the current period and of up to `past` periods before it.
    keys: Vec<PeriodKeys>,
    /// The number of earlier periods whose sessions are accepted.
    past: u64,
}

/// The ticket keys of a server, or of several servers that share a seed.
///
/// # Examples
///
/// ```
/// use mod_tls_core::session::tickets::{DEFAULT_LIFETIME, TicketKeys};
///
/// let seed = [7; 48];
/// let one = TicketKeys::from_seed(&seed, DEFAULT_LIFETIME);
/// let other = TicketKeys::from_seed(&seed, DEFAULT_LIFETIME);
/// let ticket = one.seal(b"scope", b"session").unwrap();
/// assert_eq!(other.open(b"scope", &ticket), Some(b"session".to_vec()));
/// assert_eq!(other.open(b"another scope", &ticket), None);
/// ```
pub struct TicketKeys {
    ratchet: RwLock<Ratchet>,
}

struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(state: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, state)
        .expand(&[label], OutputLen(N))
        .and_then(|okm| okm.fill(out.as_mut()))
        .expect("HKDF-SHA256 gives up to 8160 bytes");
    out
}

fn next_state(state: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    expand::<32>(state, b"mod_tls ticket ratchet")
}

impl PeriodKeys {
    fn derive(state: &[u8; 32]) -> Self {
        let key = expand::<32>(state, b"mod_tls ticket key");
        Self {
            name: *expand::<KEY_NAME_LEN>(state, b"mod_tls ticket key name"),
            key: LessSafeKey::new(UnboundKey::new(SESSION_AEAD, key.as_ref()).expect("the key has 32 bytes")),
        }
    }
}

impl Ratchet {
    fn start(period: u64, state: Zeroizing<[u8; 32]>, past: u64) -> Self {
        let keys = vec![PeriodKeys::derive(&state)];
        Self {
            period,
            state,
            keys,
            past,
        }
    }

    fn advance_to(&mut self, period: u64) {
        while self.period < period {
            self.state = next_state(&self.state);
            self.period += 1;
            // Keys of periods that are no longer accepted need not be derived.
            if period - self.period <= self.past {
                self.keys.insert(0, PeriodKeys::derive(&self.state));
            }
        }
        self.keys.truncate(self.past as usize + 1);
    }

    fn open(&self, scope: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = sealed.split_at_checked(KEY_NAME_LEN)?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN)?;
        let known = self.keys.iter().find(|keys| keys.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = ciphertext.to_vec();
        let len = known.key.open_in_place(nonce, Aad::from(scope), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }
}

/// What a state is encrypted for: that of `file` for child processes. It has another length than the scopes of sessions.
fn state_scope(file: u32) -> Vec<u8> {
    [b"mod_tls ticket state of file ".as_slice(), &file.to_be_bytes()].concat()
}

/// The period of `now` (seconds since 1970).
fn period_of(now: i64) -> u64 {
    u64::try_from(now).unwrap_or(0).saturating_sub(ORIGIN) / PERIOD
}

/// The number of earlier periods for sessions with `lifetime` seconds.
fn periods(lifetime: u32) -> u64 {
    u64::from(lifetime).div_ceil(PERIOD)
}

impl TicketKeys {
    /// Keys from a random secret that is not stored anywhere else, for sessions with `lifetime` seconds. None if the
    /// system provides no random numbers.
    pub fn random(lifetime: u32) -> Option<Self> {
        let RatchetState { period, state } = RatchetState::random()?;
        Some(Self {
            ratchet: RwLock::new(Ratchet::start(period, state, periods(lifetime))),
        })
    }

    /// Keys from a secret that several servers share, for sessions with `lifetime` seconds. The servers have the same
    /// keys at the same time.
    pub fn from_seed(seed: &[u8], lifetime: u32) -> Self {
        let now = unix_now();
        Self::from_state(RatchetState::from_seed(seed, lifetime, now), lifetime, now)
    }

    /// Keys from a state that belongs to a period before `now`, for sessions with `lifetime` seconds.
    pub fn from_state(state: RatchetState, lifetime: u32, now: i64) -> Self {
        let mut ratchet = Ratchet::start(state.period, state.state, periods(lifetime));
        ratchet.advance_to(period_of(now));
        Self {
            ratchet: RwLock::new(ratchet),
        }
    }
}

/// The secret of a period. The keys of this period and of all later ones are derived from it, but none of earlier ones.
pub struct RatchetState {
    /// The number of the period.
    pub period: u64,
    /// The secret.
    pub state: Zeroizing<[u8; 32]>,
}

impl RatchetState {
    /// A random state for the current period. None if the system provides no random numbers.
    pub fn random() -> Option<Self> {
        let mut state = Zeroizing::new([0; 32]);
        let period = period_of(unix_now());
        fill_random(state.as_mut()).then_some(Self { period, state })
    }

    /// The state of the earliest period of which sessions with `lifetime` seconds are accepted at `now` (seconds since 1970).
    pub fn from_seed(seed: &[u8], lifetime: u32, now: i64) -> Self {
        let mut state = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"mod_tls ticket seed")
            .extract(seed)
            .expand(&[b"mod_tls ticket state"], OutputLen(32))
            .and_then(|okm| okm.fill(state.as_mut()))
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        let period = period_of(now).saturating_sub(periods(lifetime));
        for _ in 0..period {
            state = next_state(&state);
        }
        Self { period, state }
    }
}

/// A state that is encrypted for the child processes of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedState {
    /// The period of the key with which it is encrypted.
    pub period: u64,
    /// The ciphertext.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for RatchetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RatchetState")
            .field("period", &self.period)
            .finish_non_exhaustive()
    }
}

impl TicketKeys {
    /// The age of the current key at `now`, in seconds.
    pub fn age(&self, now: i64) -> i64 {
        let start = ORIGIN + self.read().period * PERIOD;
        (now - i64::try_from(start).unwrap_or(i64::MAX)).max(0)
    }

    /// Sets the session lifetime, which a reload may change, to `lifetime` seconds. Keys that were already erased are
    /// not restored.
    pub fn keep_for(&self, lifetime: u32) {
        let mut ratchet = self.write();
        ratchet.past = periods(lifetime);
        let period = ratchet.period;
        ratchet.advance_to(period);
    }

    /// Advances to the current period and erases old keys. Every use of the keys does this; the parent process, which
    /// never uses them, calls this function so that new child processes do not start with an old state.
    pub fn tick(&self) {
        self.tick_at(unix_now());
    }

    fn tick_at(&self, now: i64) {
        let period = period_of(now);
        if self.read().period < period {
            self.write().advance_to(period);
        }
    }

    /// Whether these are the keys that are derived from `state`, of a period before `now`.
    pub fn has(&self, state: &RatchetState, now: i64) -> bool {
        self.tick_at(now);
        let ratchet = self.read();
        let mut other = Ratchet::start(state.period, state.state.clone(), 0);
        other.advance_to(ratchet.period);
        other.period == ratchet.period && *other.state == *ratchet.state
    }

    /// Uses the keys that are derived from `state`, of a period before `now`, from now on, and no others.
    pub fn replace(&self, state: RatchetState, now: i64) {
        let past = self.read().past;
        let mut ratchet = Ratchet::start(state.period, state.state, past);
        ratchet.advance_to(period_of(now));
        *self.write() = ratchet;
    }

    /// Encrypts the state of other keys, those of `file`, for processes that have these keys.
    pub fn seal_state(&self, file: u32, state: &RatchetState) -> Option<SealedState> {
        let mut plain = Zeroizing::new(Vec::with_capacity(STATE_LEN));
        plain.extend_from_slice(&state.period.to_be_bytes());
        plain.extend_from_slice(&*state.state);
        let sealed = self.seal(&state_scope(file), &plain)?;
        let period = self.read().period;
        Some(SealedState { period, sealed })
    }

    /// Decrypts what [`Self::seal_state`] has encrypted in a process that had the same keys.
    ///
    /// A process that has done nothing for days has still the state of the period in which it was encrypted, which it would erase
    /// if it went on to the current one.
    pub fn open_state(&self, file: u32, sealed: &SealedState) -> Option<RatchetState> {
        if self.read().period < sealed.period {
            self.write().advance_to(sealed.period.min(period_of(unix_now())));
        }
        let plain = Zeroizing::new(self.read().open(&state_scope(file), &sealed.sealed)?);
        let (period, state) = plain.split_first_chunk()?;
        Some(RatchetState {
            period: u64::from_be_bytes(*period),
            state: Zeroizing::new(state.try_into().ok()?),
        })
    }

    fn write(&self) -> RwLockWriteGuard<'_, Ratchet> {
        self.ratchet.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Ratchet> {
        self.ratchet.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encrypts `plain` with the current key. It can be decrypted only with the same `scope`.
    pub fn seal(&self, scope: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        self.tick();
        let ratchet = self.read();
        let current = ratchet.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        if !fill_random(&mut nonce) {
            return None;
        }
        let header = KEY_NAME_LEN + NONCE_LEN;
        let mut sealed = Vec::with_capacity(header + plain.len() + SESSION_AEAD.tag_len());
        sealed.extend_from_slice(&current.name);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = current
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(scope), &mut sealed[header..])
            .ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(sealed)
    }

    /// Decrypts data that [`Self::seal`] encrypted in one of the accepted periods for the same `scope`.
    pub fn open(&self, scope: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.tick();
        self.read().open(scope, sealed)
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = ORIGIN as i64 + 1000 * PERIOD + 17;
    const PERIOD: i64 = super::PERIOD as i64;
    const PAST_PERIODS: usize = DEFAULT_LIFETIME as usize / PERIOD as usize;

    fn random() -> TicketKeys {
        TicketKeys::random(DEFAULT_LIFETIME).unwrap()
    }

    fn shared_at(now: i64) -> TicketKeys {
        let state = RatchetState::from_seed(b"a shared secret", DEFAULT_LIFETIME, now);
        TicketKeys::from_state(state, DEFAULT_LIFETIME, now)
    }

    #[test]
    fn opens_what_it_sealed_in_the_same_scope_only() {
        let keys = random();
        let sealed = keys.seal(b"scope", b"a session").unwrap();
        assert_eq!(keys.open(b"scope", &sealed).unwrap(), b"a session");
        assert_eq!(keys.open(b"other", &sealed), None);
    }

    #[test]
    fn refuses_what_was_changed_or_cut() {
        let keys = random();
        let sealed = keys.seal(b"scope", b"a session").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(b"scope", &changed), None, "byte {at}");
            assert_eq!(keys.open(b"scope", &sealed[..at]), None, "length {at}");
        }
    }

    #[test]
    fn servers_with_one_seed_agree_whenever_they_started() {
        let early = shared_at(NOW - 40 * PERIOD);
        let late = shared_at(NOW);
        early.tick_at(NOW);
        assert_eq!(*early.read().state, *late.read().state);
        assert_eq!(early.read().keys[0].name, late.read().keys[0].name);
        assert_eq!(early.read().keys.len(), PAST_PERIODS + 1);
        assert_eq!(late.read().keys.len(), PAST_PERIODS + 1);
    }

    #[test]
    fn old_keys_are_forgotten() {
        let keys = shared_at(NOW);
        let name = keys.read().keys[0].name;
        keys.tick_at(NOW + PAST_PERIODS as i64 * PERIOD);
        assert!(keys.read().keys.iter().any(|k| k.name == name));
        keys.tick_at(NOW + (PAST_PERIODS as i64 + 1) * PERIOD);
        assert!(!keys.read().keys.iter().any(|k| k.name == name));
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing() {
        let keys = shared_at(NOW);
        let name = keys.read().keys[0].name;
        keys.tick_at(NOW - 10 * PERIOD);
        assert_eq!(keys.read().keys[0].name, name);
    }

    #[test]
    fn processes_tell_each_other_states() {
        let now = unix_now();
        let state = |keys: &TicketKeys| RatchetState {
            period: keys.read().period,
            state: keys.read().state.clone(),
        };
        let before = RatchetState {
            period: period_of(now) - 10,
            ..RatchetState::random().unwrap()
        };
        // A child process that was forked just now, and one that has not done anything for ten periods.
        let early = TicketKeys {
            ratchet: RwLock::new(Ratchet::start(before.period, before.state.clone(), 2)),
        };
        let parent = TicketKeys::from_state(before, DEFAULT_LIFETIME, now);
        let late = TicketKeys::from_state(state(&parent), DEFAULT_LIFETIME, now);
        let seed = RatchetState::from_seed(b"another secret", DEFAULT_LIFETIME, now);
        let sealed = parent.seal_state(7, &seed).unwrap();
        assert!(!sealed.sealed.windows(32).any(|window| window == *seed.state));
        for keys in [early, late] {
            let told = keys.open_state(7, &sealed).unwrap();
            assert_eq!((told.period, &told.state), (seed.period, &seed.state));
            assert!(keys.open_state(8, &sealed).is_none());
            assert!(keys.open(&[0; 32], &sealed.sealed).is_none());
        }
        assert!(random().open_state(7, &sealed).is_none());
    }

    #[test]
    fn another_seed() {
        let now = unix_now();
        let seed = |text: &[u8]| RatchetState::from_seed(text, DEFAULT_LIFETIME, now);
        let keys = TicketKeys::from_state(seed(b"one"), DEFAULT_LIFETIME, now);
        let ticket = keys.seal(b"scope", b"session").unwrap();
        assert!(keys.has(&seed(b"one"), now) && !keys.has(&seed(b"two"), now));
        keys.replace(seed(b"two"), now);
        assert!(keys.has(&seed(b"two"), now) && keys.open(b"scope", &ticket).is_none());
        let other = TicketKeys::from_state(seed(b"two"), DEFAULT_LIFETIME, now);
        let ticket = other.seal(b"scope", b"session").unwrap();
        assert_eq!(keys.open(b"scope", &ticket).unwrap(), b"session");
        assert_eq!(keys.read().keys.len(), PAST_PERIODS + 1);
    }

    #[test]
    fn keys_are_kept_for_as_long_as_sessions_live() {
        let keys = shared_at(NOW);
        keys.keep_for(MAX_LIFETIME);
        let name = keys.read().keys[0].name;
        keys.tick_at(NOW + i64::from(MAX_LIFETIME));
        assert!(keys.read().keys.iter().any(|k| k.name == name));
        keys.keep_for(1);
        assert_eq!(keys.read().keys.len(), 2);
    }
}
