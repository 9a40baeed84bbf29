// SPDX-License-Identifier: Apache-2.0
//! A process that looks into stores of certificates for `tls-keyd`, which itself cannot open files or ask other machines. It hands
//! over descriptors, or keys that are sealed, so it has no keys in its memory.
//!
//! httpd's parent process tells it the stores, and hands out connections to them. Each connection has a thread: a slow file
//! system keeps only those waiting who want something from there.

mod files;
mod redis;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use mod_tls_core::base::host_name::HostName;
use mod_tls_core::key_process::channel::Channel;
use mod_tls_core::key_process::protocol::BadFrame;
use mod_tls_core::key_process::supply::{Alive, PATIENCE, StoreSpec, Supplied, SupplyOrder, SupplyRequest};

use crate::parent;

use files::FileStore;
use redis::RedisStore;

/// The most connections. Those that wait for a file system that does not answer keep their threads.
const MAX_CONNECTIONS: usize = 256;

/// Looks into stores until httpd, which is at the other end of `socket`, ends.
pub(crate) fn serve(socket: OwnedFd) -> ExitCode {
    let mut control = Control {
        channel: Channel::new(socket),
        stores: HashMap::new(),
        parent: None,
        connections: Arc::default(),
    };
    // httpd's parent process notices this end, and starts another one if it goes on.
    let _ = control.run();
    ExitCode::FAILURE
}

struct Control {
    channel: Channel,
    stores: HashMap<StoreSpec, Arc<Store>>,
    /// A pidfd of httpd's parent process.
    parent: Option<OwnedFd>,
    connections: Arc<AtomicUsize>,
}

impl Control {
    fn run(&mut self) -> io::Result<()> {
        while parent::wait_for_order(&self.channel, self.parent.as_ref())? {
            match self.channel.receive(true)? {
                SupplyOrder::Parent(pid) => self.parent = parent::open(pid),
                SupplyOrder::Serve(spec) => {
                    let socket = self.channel.descriptor()?;
                    let store = self.store(spec);
                    Connection::start(socket, store, Arc::clone(&self.connections));
                }
                SupplyOrder::Ping => self.channel.send(&Alive, &[])?,
            }
        }
        Ok(())
    }

    /// The store, which is made if it is not known: a connection to a server is kept.
    fn store(&mut self, spec: StoreSpec) -> Arc<Store> {
        let make = |spec: &StoreSpec| Arc::new(Store::new(spec));
        Arc::clone(self.stores.entry(spec).or_insert_with_key(make))
    }
}

/// A store of certificates.
enum Store {
    Files(FileStore),
    Redis(Box<RedisStore>),
    /// It cannot be asked, for this reason.
    Failed(String),
}

impl Store {
    fn new(spec: &StoreSpec) -> Self {
        let made = match spec {
            StoreSpec::Files { certificate, key } => FileStore::new(certificate, key.as_deref()).map(Self::Files),
            StoreSpec::Redis(server) => RedisStore::new(server).map(Box::new).map(Self::Redis),
        };
        made.unwrap_or_else(Self::Failed)
    }

    /// What there is for a name, unless it is what has the stamp `known`.
    fn get(&self, name: &HostName, known: u64) -> Answer {
        match self {
            Self::Files(store) => store.get(name, known),
            Self::Redis(store) => store.get(name, known),
            Self::Failed(why) => Supplied::Unreachable(why.clone()).into(),
        }
    }
}

/// What is found, and the descriptors that belong to it.
struct Answer {
    supplied: Supplied,
    descriptors: Vec<OwnedFd>,
}

impl From<Supplied> for Answer {
    fn from(supplied: Supplied) -> Self {
        Self {
            supplied,
            descriptors: Vec::new(),
        }
    }
}

/// A connection of `tls-keyd`.
struct Connection {
    channel: Channel,
    store: Arc<Store>,
    /// The number of all connections.
    count: Arc<AtomicUsize>,
}

impl Connection {
    /// Serves a connection in a thread of its own. Without one, or with too many, it is closed, which tells `tls-keyd`.
    fn start(socket: OwnedFd, store: Arc<Store>, count: Arc<AtomicUsize>) {
        let before = count.fetch_add(1, Relaxed);
        let connection = Self {
            channel: Channel::new(socket),
            store,
            count,
        };
        if before < MAX_CONNECTIONS {
            let _ = thread::Builder::new()
                .name("lookup".to_owned())
                .spawn(move || connection.run());
        }
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            match self.channel.receive(true)? {
                SupplyRequest::Connect => {
                    let (ours, theirs) = UnixStream::pair()?;
                    theirs.set_read_timeout(Some(PATIENCE))?;
                    theirs.set_write_timeout(Some(PATIENCE))?;
                    Self::start(ours.into(), Arc::clone(&self.store), Arc::clone(&self.count));
                    self.channel.send(&Supplied::Connection, &[theirs.as_fd()])?;
                }
                SupplyRequest::Get { name, known } => {
                    let name = HostName::new(&name).ok_or(BadFrame)?;
                    let answer = self.store.get(&name, known);
                    let descriptors: Vec<BorrowedFd<'_>> = answer.descriptors.iter().map(AsFd::as_fd).collect();
                    self.channel.send(&answer.supplied, &descriptors)?;
                }
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}
