// SPDX-License-Identifier: Apache-2.0
//! One token: finding it, logging in to it, and sessions with it for all threads.

use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use cryptoki::error::RvError;
use cryptoki::session::{Session, SessionState};
use cryptoki::slot::{Slot, TokenInfo};
use mod_tls_core::base::lock::lock;
use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;

use super::Ask;
use super::failure::Failure;
use super::modules::Module;
use super::pin::Login;

/// How long a thread waits for the session of another one if the token allows no more.
const TIME_FOR_A_SESSION: Duration = Duration::from_secs(10);

/// What a token says of itself. It is found again by this, perhaps in another slot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    label: String,
    manufacturer: String,
    model: String,
    serial: String,
}

impl Identity {
    fn of(info: &TokenInfo) -> Self {
        Self {
            label: info.label().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            serial: info.serial_number().to_owned(),
        }
    }

    fn matches(&self, uri: &Pkcs11Uri) -> bool {
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        is(&uri.token, &self.label)
            && is(&uri.manufacturer, &self.manufacturer)
            && is(&uri.model, &self.model)
            && is(&uri.serial, &self.serial)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" (serial {})",
            self.label.escape_debug(),
            self.serial.escape_debug()
        )
    }
}

pub(super) struct Token {
    module: Arc<Module>,
    identity: Identity,
    pool: Mutex<Pool>,
    returned: Condvar,
    login: Mutex<Login>,
}

/// The sessions that no thread uses. They are never closed in a later epoch of the module, in which their handles may
/// belong to other sessions.
#[derive(Default)]
struct Pool {
    idle: Vec<Session>,
    lent: usize,
    /// Grows when the sessions have become invalid. Sessions and handles of objects belong to a generation.
    generation: u64,
    /// The epoch of the module to which this generation belongs.
    epoch: u64,
    /// Whether the token was logged in to in this generation, if that is necessary.
    is_logged_in: bool,
}

impl Pool {
    /// Begins a new generation and returns the old sessions.
    fn renew(&mut self) -> Vec<Session> {
        self.generation += 1;
        self.is_logged_in = false;
        mem::take(&mut self.idle)
    }
}

/// What a session is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Public,
    /// After a login, if that is necessary.
    Private,
}

/// A session for one thread.
pub(super) struct Loan {
    pub(super) session: Session,
    /// Handles of objects are valid as long as this number is the same.
    pub(super) generation: u64,
}

impl Token {
    /// The only token of `module` that `uri` matches.
    pub(super) fn find(module: &Arc<Module>, uri: &Pkcs11Uri) -> Result<Self, Failure> {
        let (mut all, epoch) = candidates(module, uri)?;
        let is_wanted = |identity: &Identity| identity.matches(uri);
        if !all.iter().any(is_wanted) && module.restart(epoch) {
            (all, _) = candidates(module, uri)?;
        }
        let matching: Vec<_> = all.iter().filter(|identity| is_wanted(identity)).collect();
        let file = module.file().display();
        match matching[..] {
            [one] => Ok(Self {
                module: Arc::clone(module),
                identity: one.clone(),
                pool: Mutex::default(),
                returned: Condvar::new(),
                login: Mutex::default(),
            }),
            [] if all.is_empty() => Err(Failure::Other(format!(
                "the module {file} has no token like that: plug it in, start the service behind the module, or correct \
                 its name"
            ))),
            [] => Err(Failure::Other(format!(
                "the module {file} has no token like that, but {}: plug it in, or correct its name",
                names(&all)
            ))),
            ref several => Err(Failure::Other(format!(
                "several tokens are like that: {}: add token= or serial= to name one",
                names(several.iter().copied())
            ))),
        }
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.module, &other.module) && self.identity == other.identity
    }

    /// Logs in, unless that was done or is not necessary.
    pub(super) fn log_in(&self, uri: &Pkcs11Uri, ask: &mut Ask<'_>) -> Result<(), Failure> {
        self.run_public(|loan| {
            let mut login = lock(&self.login);
            let info = self.module.context.get_token_info(self.slot()?)?;
            if !info.login_required() || !is_public(&loan.session)? {
                return Ok(());
            }
            let prompt = format!("Token {}\nEnter PIN:", self.identity);
            login.first(&loan.session, &info, uri, (&prompt, ask))
        })
        .map_err(|failure| failure.of(&self.to_string()))
    }

    /// Runs `work` with a session, after a login as before. If the session or the login turns out to be lost, `work` is
    /// run once more with a new session; if the token has gone, also once more after a restart of the module.
    pub(super) fn run<T>(&self, work: impl FnMut(&Loan) -> Result<T, Failure>) -> Result<T, Failure> {
        self.run_for(Access::Private, work)
    }

    /// The same without a login.
    pub(super) fn run_public<T>(&self, work: impl FnMut(&Loan) -> Result<T, Failure>) -> Result<T, Failure> {
        self.run_for(Access::Public, work)
    }

    fn run_for<T>(&self, access: Access, mut work: impl FnMut(&Loan) -> Result<T, Failure>) -> Result<T, Failure> {
        let (mut is_renewed, mut is_restarted) = (false, false);
        loop {
            let entry = self.module.enter();
            let epoch = entry.epoch;
            let result = self.run_once(epoch, access, &mut work);
            drop(entry);
            match result {
                Err(failure) if failure.needs_new_session() && !is_renewed => is_renewed = true,
                Err(Failure::Gone) if !is_restarted && self.module.restart(epoch) => is_restarted = true,
                other => return other,
            }
        }
    }

    fn run_once<T>(
        &self,
        epoch: u64,
        access: Access,
        work: &mut impl FnMut(&Loan) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let loan = self.borrow(epoch)?;
        let ready = match access {
            Access::Private => self.log_in_again(&loan),
            Access::Public => Ok(()),
        };
        let result = ready.and_then(|()| work(&loan));
        let is_lost = matches!(&result, Err(failure) if failure.needs_new_session());
        self.give_back(loan, is_lost);
        result
    }

    /// Logs in with what has worked before, if necessary.
    fn log_in_again(&self, loan: &Loan) -> Result<(), Failure> {
        if lock(&self.pool).is_logged_in {
            return Ok(());
        }
        let mut login = lock(&self.login);
        // Another thread may have been faster.
        if is_public(&loan.session)? {
            login.again(&loan.session)?;
        }
        let mut pool = lock(&self.pool);
        pool.is_logged_in |= pool.generation == loan.generation;
        Ok(())
    }

    /// The mechanisms of the token.
    pub(super) fn mechanisms(&self) -> Result<Vec<cryptoki::mechanism::MechanismType>, Failure> {
        Ok(self.module.context.get_mechanism_list(self.slot()?)?)
    }

    fn borrow(&self, epoch: u64) -> Result<Loan, Failure> {
        let mut pool = lock(&self.pool);
        loop {
            if pool.epoch != epoch {
                pool.epoch = epoch;
                drop(pool.renew());
            }
            let generation = pool.generation;
            if let Some(session) = pool.idle.pop() {
                pool.lent += 1;
                return Ok(Loan { session, generation });
            }
            drop(pool);
            let opened = self
                .slot()
                .and_then(|slot| Ok(self.module.context.open_ro_session_no_drop(slot)?));
            pool = lock(&self.pool);
            match opened {
                Ok(session) => {
                    pool.lent += 1;
                    return Ok(Loan { session, generation });
                }
                Err(failure) if failure.code() == Some(RvError::SessionCount) && pool.lent > 0 => {
                    let is_waiting = |pool: &mut Pool| pool.idle.is_empty() && pool.lent > 0;
                    let (after, timeout) = self
                        .returned
                        .wait_timeout_while(pool, TIME_FOR_A_SESSION, is_waiting)
                        .unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() {
                        return Err(failure);
                    }
                    pool = after;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Takes a session back. If it is lost, the others of its generation are too.
    fn give_back(&self, loan: Loan, is_lost: bool) {
        let mut superfluous = Vec::new();
        let mut pool = lock(&self.pool);
        pool.lent -= 1;
        if loan.generation != pool.generation {
            superfluous.push(loan.session);
        } else if is_lost {
            superfluous = pool.renew();
            superfluous.push(loan.session);
        } else {
            pool.idle.push(loan.session);
        }
        drop(pool);
        self.returned.notify_one();
        // Closing takes time, and does not always work with lost ones.
        for session in superfluous {
            let _ = session.close();
        }
    }

    /// The slot in which the token is now.
    fn slot(&self) -> Result<Slot, Failure> {
        let present = match present(&self.module) {
            // The last restart failed.
            Err(failure) if failure.code() == Some(RvError::CryptokiNotInitialized) => return Err(Failure::Gone),
            other => other?,
        };
        let here = present.into_iter().find(|(_, identity)| *identity == self.identity);
        here.map(|(slot, _)| slot).ok_or(Failure::Gone)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {}", self.identity)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The initialised tokens that are present, with their slots.
fn present(module: &Module) -> Result<Vec<(Slot, Identity)>, Failure> {
    let slots = module.context.get_slots_with_token()?;
    // A token that is removed at this moment has no information.
    let infos = slots
        .into_iter()
        .filter_map(|slot| Some((slot, module.context.get_token_info(slot).ok()?)));
    Ok(infos
        .filter(|(_, info)| info.token_initialized())
        .map(|(slot, info)| (slot, Identity::of(&info)))
        .collect())
}

/// The tokens of a module in the slots that `uri` matches, and the epoch of the module.
fn candidates(module: &Module, uri: &Pkcs11Uri) -> Result<(Vec<Identity>, u64), Failure> {
    let entry = module.enter();
    let mut all = Vec::new();
    if module.matches(uri)? {
        for (slot, identity) in present(module)? {
            if is_slot(module, slot, uri)? {
                all.push(identity);
            }
        }
    }
    Ok((all, entry.epoch))
}

fn names<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> String {
    let names: Vec<_> = identities.into_iter().map(Identity::to_string).collect();
    names.join(", ")
}

/// Whether `uri` matches the slot.
fn is_slot(module: &Module, slot: Slot, uri: &Pkcs11Uri) -> Result<bool, Failure> {
    let info = module.context.get_slot_info(slot)?;
    let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
    Ok(uri.slot_id.is_none_or(|wanted| wanted == slot.id())
        && is(&uri.slot_manufacturer, info.manufacturer_id())
        && is(&uri.slot_description, info.slot_description()))
}

/// Whether nobody is logged in.
fn is_public(session: &Session) -> Result<bool, Failure> {
    let state = session.get_session_info()?.session_state();
    Ok(matches!(state, SessionState::RoPublic | SessionState::RwPublic))
}
