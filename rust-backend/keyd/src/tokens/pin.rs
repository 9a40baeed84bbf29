// SPDX-License-Identifier: Apache-2.0
//! PINs of tokens: where they come from, and logging in with them.

use std::path::Path;

use cryptoki::error::RvError;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::TokenInfo;
use cryptoki::types::AuthPin;
use mod_tls_core::base::file_reading;
use mod_tls_core::keys::pkcs11_uri::{PinSource, Pkcs11Uri};
use zeroize::Zeroizing;

use super::Ask;
use super::failure::Failure;

/// The name of a PIN that is not known to be that of a URI.
const OLD_PIN: &str = "the PIN that worked before";

type Pin = Zeroizing<String>;

/// How to log in to a token.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Pin(Pin),
    /// The user types the PIN at the token (CKF_PROTECTED_AUTHENTICATION_PATH).
    PinPad,
}

/// What is known of the PIN of a token. It is erased from memory when it is dropped.
#[derive(Default)]
pub(super) struct Login {
    /// What has worked, for the time when the token returns after it was removed.
    good: Option<Credential>,
    /// What the token has refused. It is never tried again: a token locks itself after a few wrong PINs.
    refused: Option<Credential>,
}

impl Login {
    /// Logs in with what has worked before. Without that nothing is done, because the token may not need a login.
    pub(super) fn again(&mut self, session: &Session) -> Result<(), Failure> {
        match (self.good.clone(), &self.refused) {
            (Some(credential), _) => self.attempt(session, credential, OLD_PIN),
            (None, Some(_)) => Err(refused(OLD_PIN)),
            (None, None) => Ok(()),
        }
    }

    /// Logs in with the PIN of `uri`, or else with what has worked before, or with what `ask` returns for `prompt`.
    pub(super) fn first(
        &mut self,
        session: &Session,
        info: &TokenInfo,
        uri: &Pkcs11Uri,
        (prompt, ask): (&str, &mut Ask<'_>),
    ) -> Result<(), Failure> {
        check_flags(info)?;
        let (credential, origin) = match &uri.pin {
            Some(PinSource::Value(pin)) => (Credential::Pin(pin.clone()), "pin-value".to_owned()),
            Some(PinSource::File(path)) => {
                let pin = read(path).map_err(Failure::Other)?;
                (Credential::Pin(pin), format!("pin-source {}", path.display()))
            }
            None if self.good.is_some() => return self.again(session),
            None if info.protected_authentication_path() => {
                (Credential::PinPad, "what was typed at the token".to_owned())
            }
            None => {
                let pin = ask(prompt).map_err(|why| {
                    Failure::Other(format!(
                        "its PIN is not known: {why}; or name a file that has it by pin-source"
                    ))
                })?;
                (Credential::Pin(pin), "the PIN that was typed".to_owned())
            }
        };
        self.attempt(session, credential, &origin)
    }

    fn attempt(&mut self, session: &Session, credential: Credential, origin: &str) -> Result<(), Failure> {
        if self.refused.as_ref() == Some(&credential) {
            return Err(refused(origin));
        }
        let pin = match &credential {
            Credential::Pin(pin) => Some(AuthPin::new(pin.as_str().into())),
            Credential::PinPad => None,
        };
        let Err(error) = session.login(UserType::User, pin.as_ref()) else {
            self.good = Some(credential);
            self.refused = None;
            return Ok(());
        };
        let failure = Failure::Call(error);
        match failure.code() {
            // Another thread was faster.
            Some(RvError::UserAlreadyLoggedIn) => Ok(()),
            Some(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid) => {
                self.good = None;
                // At the token itself the next attempt may be with another PIN.
                self.refused = (credential != Credential::PinPad).then_some(credential);
                Err(Failure::Other(format!(
                    "the token says that {origin} is wrong. It is not tried again, because tokens lock themselves after a few \
                     wrong PINs: correct it"
                )))
            }
            Some(RvError::PinLocked) => Err(locked()),
            Some(RvError::PinExpired) => Err(Failure::Other(
                "its PIN has expired: set a new one (pkcs11-tool --login --change-pin)".to_owned(),
            )),
            Some(RvError::UserPinNotInitialized) => Err(Failure::Other(
                "it has no PIN for users yet: set one (pkcs11-tool --login --login-type so --init-pin)".to_owned(),
            )),
            _ => Err(failure),
        }
    }
}

fn refused(origin: &str) -> Failure {
    Failure::Other(format!(
        "the token has refused {origin}, which is not tried again, because tokens lock themselves after a few wrong PINs: \
         correct the PIN and reload httpd"
    ))
}

/// Refuses to try a PIN if that may cost the last attempt.
fn check_flags(info: &TokenInfo) -> Result<(), Failure> {
    if info.user_pin_locked() {
        return Err(locked());
    }
    if info.user_pin_final_try() {
        return Err(Failure::Other(
            "it has one attempt left before it locks itself, which is not risked here: log in once with the right PIN \
             (pkcs11-tool --login --list-objects), then start httpd again"
                .to_owned(),
        ));
    }
    Ok(())
}

fn locked() -> Failure {
    Failure::Other(
        "it has locked itself after too many wrong PINs: unlock it (pkcs11-tool --login --login-type so --init-pin), and correct \
         the PIN here before httpd starts"
            .to_owned(),
    )
}

/// The PIN in a file: its first line.
fn read(path: &Path) -> Result<Pin, String> {
    let bytes = file_reading::read(path).map_err(|error| format!("pin-source: {error}"))?;
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match str::from_utf8(line) {
        Ok("") => Err(format!(
            "pin-source: {}: its first line is empty: it has to be the PIN",
            path.display()
        )),
        Ok(pin) => Ok(Zeroizing::new(pin.to_owned())),
        Err(_) => Err(format!("pin-source: {}: its first line is not UTF-8", path.display())),
    }
}
