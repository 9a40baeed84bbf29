// SPDX-License-Identifier: Apache-2.0
//! httpd's parent process has another process look into stores of certificates for `tls-keyd`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::channel::Channel;
use super::parent::{KeyProcess, Launch, Launcher, Role};
use super::running::Running;
use super::supply::{Alive, PATIENCE, StoreSpec, SupplyOrder};
use crate::base::diagnostics::Severity;
use crate::base::lock::lock;

/// How long a sign of life may take.
const LIMIT: Duration = Duration::from_secs(1);

/// The process that looks into stores.
#[derive(Debug)]
pub(super) struct Supplier {
    pub(super) pid: u32,
    channel: Channel,
    pidfd: Option<OwnedFd>,
}

impl Supplier {
    fn start(launcher: &dyn Launcher, launch: &Launch) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(LIMIT))?;
        ours.set_write_timeout(Some(LIMIT))?;
        let pid = launcher.launch(launch, Role::Open, theirs.into())?;
        let name = Pid::from_raw(pid.cast_signed());
        let supplier = Self {
            pid,
            channel: Channel::new(ours.into()),
            pidfd: name.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()),
        };
        supplier.channel.send(&SupplyOrder::Parent(std::process::id()), &[])?;
        Ok(supplier)
    }

    /// A connection for requests about a store.
    fn connection(&self, spec: &StoreSpec) -> io::Result<OwnedFd> {
        let (one, other) = UnixStream::pair()?;
        // `tls-keyd` may not set them.
        other.set_read_timeout(Some(PATIENCE))?;
        other.set_write_timeout(Some(PATIENCE))?;
        self.channel.send(&SupplyOrder::Serve(spec.clone()), &[one.as_fd()])?;
        Ok(other.into())
    }

    /// Ends the process, which may be stopped.
    fn kill(&self) {
        if let Some(pidfd) = &self.pidfd {
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
    }

    fn is_alive(&mut self) -> bool {
        let asked = self.channel.send(&SupplyOrder::Ping, &[]);
        asked.and_then(|()| self.channel.receive::<Alive>(true)).is_ok()
    }
}

impl KeyProcess {
    /// The number of a store. One that is known keeps its number: child processes of an earlier configuration may use it.
    pub fn store_number(&self, spec: &StoreSpec) -> u32 {
        let mut stores = lock(&self.stores);
        let at = stores.iter().position(|known| known == spec).unwrap_or_else(|| {
            stores.push(spec.clone());
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

    /// Connects `running` with the process that looks into stores, which is started if there is none.
    pub(super) fn supply_to(&self, running: &mut Running) {
        if lock(&self.stores).is_empty() {
            *lock(&self.supplier) = None;
            return;
        }
        if let Err(error) = self.try_to_supply(running) {
            *lock(&self.supplier) = None;
            let text = format!(
                "the process that looks into TLSCertificateStore cannot be started: {error}; another attempt follows"
            );
            self.log_queue.add(Severity::Error, text);
        }
    }

    fn try_to_supply(&self, running: &mut Running) -> io::Result<()> {
        let mut slot = lock(&self.supplier);
        let supplier = match &mut *slot {
            Some(supplier) => supplier,
            None => slot.insert(Supplier::start(&*self.launcher, &running.launch)?),
        };
        let sockets: io::Result<Vec<_>> = lock(&self.stores)
            .iter()
            .map(|spec| supplier.connection(spec))
            .collect();
        running.set_stores(&sockets?)
    }

    /// Starts another process that looks into stores if the one that did is `has_ended`, or does not answer.
    pub(super) fn look_at_supplier(&self, running: &mut Running, has_ended: Option<u32>) {
        if lock(&self.stores).is_empty() {
            return;
        }
        let mut slot = lock(&self.supplier);
        if let Some(supplier) = &mut *slot {
            let why = if has_ended == Some(supplier.pid) {
                "has ended"
            } else if supplier.is_alive() {
                return;
            } else {
                "does not answer and is killed"
            };
            supplier.kill();
            let text = format!(
                "tls-keyd --open (process {}), which opens files of certificates, {why}",
                supplier.pid
            );
            self.log_queue.add(Severity::Error, text);
        }
        *slot = None;
        drop(slot);
        self.supply_to(running);
    }
}
