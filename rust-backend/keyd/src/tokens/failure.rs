// SPDX-License-Identifier: Apache-2.0
//! Why something with a token did not work.

use std::fmt;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

#[derive(Debug)]
pub(super) enum Failure {
    /// A function of the module failed.
    Call(Error),
    /// The module does not have the token, which it had before.
    Gone,
    /// Anything else: the problem and how to mend it.
    Other(String),
}

impl Failure {
    /// The return value of the module's function.
    pub(super) fn code(&self) -> Option<RvError> {
        match self {
            Self::Call(Error::Pkcs11(code, _)) => Some(*code),
            _ => None,
        }
    }

    /// Whether the same may work with a new session. A token that was removed, or an HSM that was restarted, has
    /// forgotten the sessions and who was logged in, and modules have many ways of saying that.
    pub(super) fn needs_new_session(&self) -> bool {
        use RvError::{
            DeviceError, DeviceMemory, DeviceRemoved, FunctionFailed, GeneralError, KeyHandleInvalid,
            ObjectHandleInvalid, OperationActive, OperationNotInitialized, SessionClosed, SessionHandleInvalid,
            SlotIdInvalid, TokenNotPresent, TokenNotRecognized, UserNotLoggedIn,
        };
        matches!(
            self.code(),
            Some(
                DeviceError
                    | DeviceMemory
                    | DeviceRemoved
                    | FunctionFailed
                    | GeneralError
                    | KeyHandleInvalid
                    | ObjectHandleInvalid
                    | OperationActive
                    | OperationNotInitialized
                    | SessionClosed
                    | SessionHandleInvalid
                    | SlotIdInvalid
                    | TokenNotPresent
                    | TokenNotRecognized
                    | UserNotLoggedIn
            )
        )
    }

    /// Whether the token does not support what was asked for.
    pub(super) fn is_unsupported(&self) -> bool {
        use RvError::{KeyFunctionNotPermitted, MechanismInvalid, MechanismParamInvalid};
        matches!(
            self.code(),
            Some(KeyFunctionNotPermitted | MechanismInvalid | MechanismParamInvalid)
        )
    }

    /// The same failure with a text before it.
    pub(super) fn of(self, what: &str) -> Self {
        Self::Other(format!("{what}: {self}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(Error::Pkcs11(code, function)) => {
                write!(f, "{}", name_of_code(*code, *function))?;
                match mend(*code) {
                    Some(text) => write!(f, ": {text}"),
                    None => Ok(()),
                }
            }
            Self::Call(error) => error.fmt(f),
            Self::Gone => {
                f.write_str("it has gone: plug it in again, or see whether the service behind the module runs")
            }
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The names that PKCS#11 has for a function and its return value, which manuals of tokens use.
fn name_of_code(code: RvError, function: Function) -> String {
    if let RvError::VendorDefined(number) = code {
        return format!("C_{function:?} failed with the code {number:#x} of the token's vendor");
    }
    let mut name = String::from("CKR");
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    format!("C_{function:?} failed with {name}")
}

fn mend(code: RvError) -> Option<&'static str> {
    let text = match code {
        RvError::TokenNotPresent | RvError::DeviceRemoved | RvError::SlotIdInvalid | RvError::TokenNotRecognized => {
            "the token has gone: plug it in again, or see whether the service behind the module runs"
        }
        RvError::DeviceError | RvError::GeneralError | RvError::FunctionFailed => {
            "the log of the token, or of the service behind the module, may say more"
        }
        RvError::UserNotLoggedIn => "the token wants a PIN: give it by pin-source or pin-value",
        RvError::SessionCount => "the token allows no more sessions: let fewer programs use it",
        RvError::MechanismInvalid | RvError::MechanismParamInvalid | RvError::KeyTypeInconsistent => {
            "the token cannot sign like this with this key: see what it can (pkcs11-tool --list-mechanisms)"
        }
        RvError::KeyFunctionNotPermitted => "the key may not sign: make one that may (CKA_SIGN)",
        RvError::KeySizeRange => "the token cannot use a key of this size",
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let text = |code| Failure::from(Error::Pkcs11(code, Function::SignInit)).to_string();
        assert!(text(RvError::TokenNotPresent).starts_with("C_SignInit failed with CKR_TOKEN_NOT_PRESENT: the token"));
        assert_eq!(text(RvError::DataInvalid), "C_SignInit failed with CKR_DATA_INVALID");
        assert_eq!(
            text(RvError::VendorDefined(0x8000_0001)),
            "C_SignInit failed with the code 0x80000001 of the token's vendor"
        );
    }
}
