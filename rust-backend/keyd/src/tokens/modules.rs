// SPDX-License-Identifier: Apache-2.0
//! PKCS#11 modules: the libraries that know tokens.

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use mod_tls_core::keys::pkcs11_uri::Pkcs11Uri;

use super::failure::Failure;
use super::gate::{Entry, Gate};
use super::lock;

/// The module of p11-kit that has the tokens of all modules that are registered in the system.
const PROXY: &str = "p11-kit-proxy";

/// Where distributions install modules, in the directories for libraries.
const SUBDIRECTORIES: [&str; 3] = ["pkcs11", "", "softhsm"];

/// The time between two attempts to find a token by a restart of its module. It interrupts the other tokens.
const TIME_BETWEEN_RESTARTS: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });

/// How long a restart waits for the threads that are in the module.
const TIME_TO_LEAVE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Module {
    pub(super) context: Pkcs11,
    file: PathBuf,
    gate: Gate,
    restarted: Mutex<Option<Instant>>,
}

impl Module {
    /// Loads and initialises a module.
    pub(super) fn load(file: &Path) -> Result<Self, Failure> {
        let about = |text: &str| Failure::Other(format!("the PKCS#11 module {}: {text}", file.display()));
        let context = Pkcs11::new(file).map_err(|error| match error {
            Error::LibraryLoading(why) => about(&format!("it cannot be loaded: {why}")),
            Error::MissingSymbol(_) => about("it is no PKCS#11 module: name another file by module-path"),
            other => about(&Failure::Call(other).to_string()),
        })?;
        let module = Self {
            context,
            file: file.to_owned(),
            gate: Gate::default(),
            restarted: Mutex::default(),
        };
        match module.initialise() {
            Ok(()) => Ok(module),
            Err(failure) if failure.code() == Some(RvError::CantLock) => Err(about(
                "it cannot be used by several threads: ask its vendor for one that can",
            )),
            Err(failure) => Err(about(&format!(
                "{failure}; it may lack its own configuration file, or the user of tls-keyd may not read it"
            ))),
        }
    }

    fn initialise(&self) -> Result<(), Failure> {
        let args = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.context.initialize(args).map_err(Failure::Call) {
            Err(failure) if failure.code() == Some(RvError::CryptokiAlreadyInitialized) => Ok(()),
            other => other,
        }
    }

    /// To be held while functions of the module are called. Sessions, handles of objects and numbers of slots are valid
    /// in one epoch.
    pub(super) fn enter(&self) -> Entry<'_> {
        self.gate.enter()
    }

    /// Restarts the module, because it does not have a token that it should have: some modules look for tokens only
    /// when they start. Returns whether it has the tokens of a time after `epoch`. The caller must not be in the module.
    pub(super) fn restart(&self, epoch: u64) -> bool {
        let mut restarted = lock(&self.restarted);
        if self.enter().epoch != epoch {
            return true;
        }
        if restarted.is_some_and(|time| time.elapsed() < TIME_BETWEEN_RESTARTS) {
            return false;
        }
        *restarted = Some(Instant::now());
        self.gate.closed(TIME_TO_LEAVE, || {
            // If one of them fails, the tokens stay away, and the next restart tries it again.
            let _ = self.context.clone().finalize();
            let _ = self.initialise();
        })
    }

    /// The file, as `file_of` returns it.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the library has the properties that `uri` demands.
    pub(super) fn matches(&self, uri: &Pkcs11Uri) -> Result<bool, Failure> {
        let info = self.context.get_library_info()?;
        let is = |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| wanted == text);
        let version = (info.library_version().major(), info.library_version().minor());
        Ok(is(&uri.library_manufacturer, info.manufacturer_id())
            && is(&uri.library_description, info.library_description())
            && uri.library_version.is_none_or(|wanted| wanted == version))
    }
}

/// The file of the module that `uri` asks for: by `module-path`, by `module-name`, or else p11-kit's proxy. Each file
/// has one path only, so that no module is initialised twice.
pub(super) fn file_of(uri: &Pkcs11Uri) -> Result<PathBuf, Failure> {
    let file = match (&uri.module_path, &uri.module_name) {
        (Some(path), Some(name)) if path.is_dir() => in_directories(std::slice::from_ref(path), name)?,
        (Some(path), None) if path.is_dir() => {
            return Err(Failure::Other(format!(
                "module-path: {} is a directory: name the module in it by module-name, or by its whole path",
                path.display()
            )));
        }
        (Some(path), _) => path.clone(),
        (None, Some(name)) => in_directories(&library_directories(), name)?,
        (None, None) => in_directories(&library_directories(), PROXY).map_err(|_| {
            Failure::Other(format!(
                "there is no {PROXY}.so, which would find the token: name the token's module \
                 (?module-path=/path/to/module.so), or install p11-kit (Debian: p11-kit-modules)"
            ))
        })?,
    };
    file.canonicalize().map_err(|error| {
        Failure::Other(format!(
            "the PKCS#11 module {} cannot be found ({error}): install it, or correct module-path",
            file.display()
        ))
    })
}

fn library_directories() -> Vec<PathBuf> {
    let native = format!("/usr/lib/{ARCH}-linux-gnu");
    let roots = [
        native.as_str(),
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib64",
        "/usr/local/lib",
    ];
    let below = |root: &&str| SUBDIRECTORIES.map(|name| Path::new(root).join(name));
    roots.iter().flat_map(below).collect()
}

/// The first file of a module called `name`, with or without the usual prefix, in `directories`.
fn in_directories(directories: &[PathBuf], name: &str) -> Result<PathBuf, Failure> {
    let files = [format!("{name}.so"), format!("lib{name}.so")];
    let candidates = directories
        .iter()
        .flat_map(|directory| files.iter().map(|file| directory.join(file)));
    candidates.into_iter().find(|file| file.is_file()).ok_or_else(|| {
        let places: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
        Failure::Other(format!(
            "module-name: there is no {name}.so and no lib{name}.so in {}: install the module, or name its file by module-path",
            places.join(", ")
        ))
    })
}
