// SPDX-License-Identifier: Apache-2.0
//! `TLSSessionTicketKeyFile`: files from which ticket keys are derived.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::base::file_reading::{self, Exposure};
use crate::base::watched::Watched;
use crate::key_process::protocol::TicketState;
use crate::keys::key_file::KeyReader;
use crate::session::tickets::{MIN_SEED, RatchetState, TicketKeys};

/// A seed file, and the keys that are derived from it.
#[derive(Debug)]
pub(crate) struct SeedFile {
    watched: Watched,
    path: PathBuf,
    /// The longest lifetime of a session in seconds.
    lifetime: u32,
    keys: Arc<TicketKeys>,
}

/// What was read from a seed file.
struct Seed {
    /// The state of the earliest period that is accepted.
    state: RatchetState,
    /// Permissions of other users for the file.
    exposure: Exposure,
}

impl SeedFile {
    /// Reads the file at `path` at `now`, in seconds since 1970. Also returns the permissions of other users. The error names the
    /// file and the remedy.
    pub(crate) fn load(
        path: &Path,
        lifetime: u32,
        now: i64,
        reader: &KeyReader<'_>,
    ) -> Result<(Self, Exposure), String> {
        let watched = Watched::new(vec![path.to_owned().into()]);
        let Seed { state, exposure } = read(path, lifetime, now, reader)?;
        let file = Self {
            watched,
            path: path.to_owned(),
            lifetime,
            keys: Arc::new(TicketKeys::from_state(state, lifetime, now)),
        };
        Ok((file, exposure))
    }

    /// The file.
    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &Arc<TicketKeys> {
        &self.keys
    }

    /// What is in the file at `now`, in seconds since 1970, if that is another seed. The error is why it cannot be used.
    pub(crate) fn read(&self, now: i64, reader: &KeyReader<'_>) -> Result<Option<RatchetState>, String> {
        let Seed { state, .. } = read(&self.path, self.lifetime, now, reader)?;
        let is_same = self.keys.has(&state, now);
        Ok((!is_same).then_some(state))
    }
}

/// Has the file read, by `tls-keyd` if that has the private keys.
fn read(path: &Path, lifetime: u32, now: i64, reader: &KeyReader<'_>) -> Result<Seed, String> {
    let (state, size, exposure) = match reader {
        KeyReader::Process(process, _) => {
            let opened = file_reading::open(path).map_err(|error| error.to_string())?;
            let (size, state) = process
                .ticket_state(&opened.file, now, lifetime)
                .map_err(|why| format!("{}: cannot be read: {why}", path.display()))?;
            let state = state.map(|TicketState { period, state }| RatchetState {
                period,
                state: Zeroizing::new(state),
            });
            (state, size, opened.exposure)
        }
        KeyReader::Here(_) => {
            let seed = file_reading::read_stamped(path).map_err(|error| error.to_string())?;
            let size = seed.bytes.len();
            let state = (size >= MIN_SEED).then(|| RatchetState::from_seed(&seed.bytes, lifetime, now));
            (state, size as u64, seed.exposure)
        }
    };
    match state {
        Some(state) => Ok(Seed { state, exposure }),
        None => {
            let path = path.display();
            Err(format!(
                "{path} has {size} bytes, which can be guessed: make it with `openssl rand -out {path} 48`"
            ))
        }
    }
}
