// SPDX-License-Identifier: Apache-2.0
//! Orders about keys and certificates in tokens.
//!
//! The functions of a module may take long, or never return. So they are called in a thread for each order. If one does not
//! return in time, the order fails, the thread is left behind, and so do the following orders for this module until it returns.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mod_tls_core::key_process::protocol::{Answer, KeyId, Purpose};
use mod_tls_core::keys::phrase_source::{Patience, PhraseSource};
use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;
use zeroize::Zeroizing;

use crate::keys::Keys;
use crate::tokens::{TokenKey, Tokens};

/// How long a module may take, with the time in which somebody types a PIN at the token itself. httpd's parent process waits
/// longer.
const LIMIT: Duration = Duration::from_secs(50);

/// What is wanted from a token.
pub(crate) struct TokenOrder {
    pub(crate) uri: String,
    /// The number of the key; none for certificates.
    pub(crate) key: Option<KeyId>,
    pub(crate) purpose: Purpose,
}

/// Who is asked for a PIN.
pub(crate) struct Asked<'a> {
    pub(crate) source: PhraseSource,
    pub(crate) patience: Patience<'a>,
}

/// What was found in a token, or why nothing was.
enum Found {
    Key(Result<TokenKey, String>),
    Certificates(Result<Vec<Vec<u8>>, String>),
}

/// What a thread that calls a module says.
enum Said {
    /// It needs a PIN; this is the prompt.
    PinNeeded(String),
    Found(Found),
}

type PinAnswer = Result<Zeroizing<String>, String>;

/// A module, as URIs name it.
#[derive(PartialEq, Eq)]
struct ModuleName {
    path: Option<PathBuf>,
    name: Option<String>,
}

impl ModuleName {
    fn of(uri: &Pkcs11Uri) -> Self {
        Self {
            path: uri.module_path.clone(),
            name: uri.module_name.clone(),
        }
    }
}

/// Carries out orders.
#[derive(Default)]
pub(crate) struct TokenOrders {
    tokens: Arc<Tokens>,
    /// Threads whose module has not returned in time.
    left_behind: Vec<(ModuleName, JoinHandle<()>)>,
}

impl TokenOrders {
    /// Finds what `order` names. A key is added to `keys`. Without `asked`, the answer to a token that wants a PIN is that it
    /// does.
    pub(crate) fn carry_out(&mut self, order: &TokenOrder, asked: Option<Asked<'_>>, keys: &Keys) -> Answer {
        let outcome = Pkcs11Uri::parse(&order.uri).and_then(|uri| {
            let found = self.find(&uri, order.key.is_none(), asked)?;
            Ok((uri, found))
        });
        match (outcome, order.key) {
            (Ok((_, Outcome::PinNeeded)), _) => Answer::PinNeeded,
            (Ok((_, Outcome::NoAnswer(why))), _) => Answer::NoAnswer(why),
            (Ok((_, Outcome::Found(Found::Certificates(found)))), _) => Answer::Certificates(found),
            (Ok((uri, Outcome::Found(Found::Key(found)))), Some(id)) => {
                let name: Arc<Path> = Path::new(&uri.to_string()).into();
                Answer::Key(found.map(|key| keys.add_of_token(id, &name, order.purpose, Arc::new(key))))
            }
            (Ok(_), None) => Answer::Certificates(Err("the token has returned a key".to_owned())),
            (Err(why), Some(_)) => Answer::Key(Err(why)),
            (Err(why), None) => Answer::Certificates(Err(why)),
        }
    }

    fn find(&mut self, uri: &Pkcs11Uri, is_certificate: bool, asked: Option<Asked<'_>>) -> Result<Outcome, String> {
        let module = ModuleName::of(uri);
        self.left_behind.retain(|(_, thread)| !thread.is_finished());
        if self.left_behind.iter().any(|(hanging, _)| *hanging == module) {
            return Err(hangs(uri, "has still not answered an earlier call"));
        }
        let (said, listen) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let (tokens, uri_there) = (Arc::clone(&self.tokens), uri.clone());
        let work = move || call(&tokens, &uri_there, is_certificate, &said, &answers);
        let thread = thread::Builder::new()
            .name("token".to_owned())
            .spawn(work)
            .map_err(|error| format!("{uri}: no thread can be started for the token's module: {error}"))?;
        match listen_to(&listen, &answer, asked) {
            Ok(outcome) => Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => Err(hangs(uri, "has made tls-keyd's thread fail")),
            Err(RecvTimeoutError::Timeout) => {
                self.left_behind.push((module, thread));
                let text = format!("has not answered within {} seconds", LIMIT.as_secs());
                Err(hangs(uri, &text))
            }
        }
    }
}

fn hangs(uri: &Pkcs11Uri, what: &str) -> String {
    format!(
        "{uri}: the token's PKCS#11 module {what}: see whether the token and the service behind the module answer other programs \
         (pkcs11-tool --list-objects), then reload httpd"
    )
}

/// What an order has led to.
enum Outcome {
    PinNeeded,
    NoAnswer(String),
    Found(Found),
}

/// Calls the module.
fn call(tokens: &Tokens, uri: &Pkcs11Uri, is_certificate: bool, said: &Sender<Said>, answers: &Receiver<PinAnswer>) {
    let mut ask = |prompt: &str| {
        let sent = said.send(Said::PinNeeded(prompt.to_owned()));
        let answer = sent.ok().and_then(|()| answers.recv().ok());
        answer.unwrap_or_else(|| Err("nobody waits for it any longer".to_owned()))
    };
    let found = match is_certificate {
        true => Found::Certificates(
            tokens
                .certificates(uri, &mut ask)
                .map(|chain| chain.iter().map(|der| der.to_vec()).collect()),
        ),
        false => Found::Key(tokens.key(uri, &mut ask)),
    };
    // Nobody listens if it took too long.
    let _ = said.send(Said::Found(found));
}

/// Waits for what the thread finds, and gets it the PIN.
fn listen_to(
    listen: &Receiver<Said>,
    answer: &Sender<PinAnswer>,
    mut asked: Option<Asked<'_>>,
) -> Result<Outcome, RecvTimeoutError> {
    let mut without_pin = None;
    loop {
        match listen.recv_timeout(LIMIT)? {
            Said::Found(found) => return Ok(without_pin.unwrap_or(Outcome::Found(found))),
            Said::PinNeeded(prompt) => {
                let pin = match &mut asked {
                    None => Err(Outcome::PinNeeded),
                    Some(asked) => asked
                        .source
                        .ask(&prompt, &asked.patience)
                        .map_err(|error| Outcome::NoAnswer(error.to_string())),
                };
                let pin = pin.map_err(|outcome| {
                    without_pin = Some(outcome);
                    "it was not asked for".to_owned()
                });
                // A thread that has ended does not need it.
                let _ = answer.send(pin);
            }
        }
    }
}
