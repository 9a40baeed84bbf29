// SPDX-License-Identifier: Apache-2.0
//! httpd's parent process has other processes look into stores of certificates for `tls-keyd`: one opens files, and one talks to
//! other machines.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::companion::Companion;
use super::parent::{KeyProcess, Launch, Launcher, Role};
use super::protocol::StoreOrder;
use super::running::Running;
use super::supply::{Alive, PATIENCE, StoreSpec, SupplyOrder};
use crate::base::diagnostics::Severity;
use crate::base::file_reading;
use crate::base::lock::lock;

/// A store, and the file of its sealing keys, if keys are sealed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStore {
    /// Where it is.
    pub spec: StoreSpec,
    /// The file.
    pub sealing_keys: Option<PathBuf>,
}

/// A process that looks into stores.
#[derive(Debug)]
pub(super) struct Supplier {
    pub(super) role: Role,
    pub(super) process: Companion,
}

impl Supplier {
    fn start(launcher: &dyn Launcher, launch: &Launch, role: Role) -> io::Result<Self> {
        let process = Companion::start(launcher, launch, role)?;
        process.tell(&SupplyOrder::Parent(std::process::id()), &[])?;
        Ok(Self { role, process })
    }

    /// A connection for requests about a store.
    fn connection(&self, spec: &StoreSpec) -> io::Result<OwnedFd> {
        let (one, other) = UnixStream::pair()?;
        // `tls-keyd` may not set them.
        other.set_read_timeout(Some(PATIENCE))?;
        other.set_write_timeout(Some(PATIENCE))?;
        self.process.tell(&SupplyOrder::Serve(spec.clone()), &[one.as_fd()])?;
        Ok(other.into())
    }

    /// What is wrong with it, if `has_ended` is a process that has ended.
    fn problem(&mut self, has_ended: Option<u32>) -> Option<&'static str> {
        if has_ended == Some(self.process.pid) {
            return Some("has ended");
        }
        let alive = self.process.ask::<Alive>(&SupplyOrder::Ping);
        alive.is_err().then_some("does not answer and is killed")
    }

    /// What it is, for messages.
    fn describe(&self) -> String {
        let (option, task) = match self.role {
            Role::Fetch => ("--fetch", "gets certificates from other machines"),
            _ => ("--open", "opens files of certificates"),
        };
        format!("tls-keyd {option} (process {}), which {task},", self.process.pid)
    }
}

impl KeyProcess {
    /// The number of a store. One that is known keeps its number: child processes of an earlier configuration may use it.
    pub fn store_number(&self, store: &KnownStore) -> u32 {
        let mut stores = lock(&self.stores);
        let at = stores.iter().position(|known| known == store).unwrap_or_else(|| {
            stores.push(store.clone());
            stores.len() - 1
        });
        at as u32
    }

    /// Has the stores looked into, if there are some, when the configuration begins to be used.
    pub fn supply(&self) {
        let _ = self.with(|running| {
            self.supply_to(running);
            Ok(())
        });
    }

    /// Connects `running` with the processes that look into stores, which are started unless they run.
    pub(super) fn supply_to(&self, running: &mut Running) {
        if lock(&self.stores).is_empty() {
            lock(&self.suppliers).clear();
            return;
        }
        if let Err(error) = self.try_to_supply(running) {
            lock(&self.suppliers).clear();
            let text = format!("TLSCertificateStore cannot be looked into: {error}; another attempt follows");
            self.log_queue.add(Severity::Error, text);
        }
    }

    fn try_to_supply(&self, running: &mut Running) -> io::Result<()> {
        let mut suppliers = lock(&self.suppliers);
        let (mut orders, mut descriptors) = (Vec::new(), Vec::new());
        for (number, store) in lock(&self.stores).iter().enumerate() {
            let role = store.spec.role();
            if !suppliers.iter().any(|supplier| supplier.role == role) {
                suppliers.push(Supplier::start(&*self.launcher, &running.launch, role)?);
            }
            for supplier in suppliers.iter().filter(|supplier| supplier.role == role) {
                descriptors.push(supplier.connection(&store.spec)?);
            }
            // Without the file, nothing there can be opened, as the handshakes tell.
            let opened = store.sealing_keys.as_ref().and_then(|path| {
                let opened =
                    file_reading::open(path).map_err(|error| self.log_queue.add(Severity::Error, error.to_string()));
                Some((path.as_os_str().as_bytes().to_vec(), opened.ok()?.file))
            });
            let (path, file) = opened.unzip();
            descriptors.extend(file.map(OwnedFd::from));
            orders.push(StoreOrder {
                number: number as u32,
                sealing_keys: path,
            });
        }
        running.set_stores(orders, &descriptors)
    }

    /// Starts others for processes that look into stores and have ended, or do not answer.
    pub(super) fn look_at_suppliers(&self, running: &mut Running, has_ended: Option<u32>) {
        if lock(&self.stores).is_empty() {
            return;
        }
        let mut suppliers = lock(&self.suppliers);
        let is_complete = !suppliers.is_empty();
        let before = suppliers.len();
        suppliers.retain_mut(|supplier| {
            let Some(why) = supplier.problem(has_ended) else {
                return true;
            };
            supplier.process.kill();
            let text = format!("{} {why}", supplier.describe());
            self.log_queue.add(Severity::Error, text);
            false
        });
        let is_well = is_complete && suppliers.len() == before;
        drop(suppliers);
        if !is_well {
            self.supply_to(running);
        }
    }
}
