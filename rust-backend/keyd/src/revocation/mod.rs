// SPDX-License-Identifier: Apache-2.0
//! A process that asks OCSP responders and fetches revocation lists, ahead of time or when a child process of httpd wants to know.
//!
//! It has no private keys. It publishes what it has verified in a table in memory that it alone can write. httpd's parent process
//! gives it orders; child processes send it questions.

mod absolute_form;
mod agenda;
mod complaints;
mod http;
mod list_issuers;
mod lists;
mod service;
mod staples;
mod statuses;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use mod_tls_core::base::diagnostics::Severity;
use mod_tls_core::key_process::channel::{Channel, receive_with};
use mod_tls_core::revocation::disk::Directory;
use mod_tls_core::revocation::orders::{Order, Report, Settings, StapleOrder};
use mod_tls_core::revocation::questions::MAX_QUESTION;
use mod_tls_core::revocation::shared_table::Writer;
use rustix::net::RecvFlags;

use crate::lockdown::User;
use crate::parent;
use service::Service;

/// How many other machines are waited for at once.
const THREADS: usize = 16;

/// Makes the directory of what was fetched, for the user that this process will run as. The error says why there is none.
pub(crate) fn directory(path: &Path, user: Option<&User>) -> Result<Directory, String> {
    let owned = |directory| match user {
        Some(user) => chown(path, Some(user.uid), Some(user.gid)).map(|()| directory),
        None => Ok(directory),
    };
    Directory::new(path).and_then(owned).map_err(|error| {
        format!(
            "{}: {error}: OCSP responses and revocation lists are not kept over a restart; TLSRevocationCache names another \
             directory",
            path.display()
        )
    })
}

/// Works until httpd, which is at the other end of `socket`, ends.
pub(crate) fn serve(socket: OwnedFd, directory: Result<Directory, String>) -> ExitCode {
    let mut control = Control {
        channel: Channel::new(socket),
        parent: None,
        directory: Some(directory),
        service: None,
        ordered: Ordered::default(),
    };
    // httpd's parent process notices this end, and starts another one if it goes on.
    let _ = control.run();
    ExitCode::FAILURE
}

/// Orders, as long as they are not complete.
#[derive(Default)]
struct Ordered {
    settings: Settings,
    staples: Vec<StapleOrder>,
    lists: Vec<String>,
}

struct Control {
    channel: Channel,
    /// A pidfd of httpd's parent process.
    parent: Option<OwnedFd>,
    /// Until the work begins.
    directory: Option<Result<Directory, String>>,
    service: Option<Arc<Service>>,
    ordered: Ordered,
}

impl Control {
    fn run(&mut self) -> io::Result<()> {
        while parent::wait_for_order(&self.channel, self.parent.as_ref())? {
            match self.channel.receive(true)? {
                Order::Parent(pid) => self.parent = parent::open(pid),
                Order::Begin => self.begin()?,
                Order::Settings(settings) => {
                    self.ordered = Ordered {
                        settings,
                        ..Ordered::default()
                    }
                }
                Order::Staples(more) => self.ordered.staples.extend(more),
                Order::Lists(more) => self.ordered.lists.extend(more),
                Order::Go => {
                    let Ordered {
                        settings,
                        staples,
                        lists,
                    } = std::mem::take(&mut self.ordered);
                    if let Some(service) = &self.service {
                        service.replace(settings, &staples, &lists);
                        service.summarize();
                    }
                }
                Order::More(single) => {
                    if let Some(service) = &self.service {
                        service.add_one(&single);
                    }
                }
                Order::Ping => {
                    let messages = self.service.as_ref().map(|service| service.complaints.take());
                    let messages = messages.unwrap_or_default();
                    self.channel.send(&Report { messages }, &[])?;
                    if let Some(service) = &self.service {
                        service.summarize();
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> io::Result<()> {
        let table = Writer::new(self.channel.descriptor()?)?;
        let questions = self.channel.descriptor()?;
        let (directory, complaint) = match self.directory.take() {
            Some(Ok(directory)) => (Some(directory), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let service = Arc::new(Service::new(table, directory));
        if let Some(why) = complaint {
            service.complaints.say(Severity::Warning, why);
        }
        for _ in 0..THREADS {
            let service = Arc::clone(&service);
            thread::Builder::new()
                .name("fetch".to_owned())
                .spawn(move || service.work())?;
        }
        let asked = Arc::clone(&service);
        thread::Builder::new()
            .name("questions".to_owned())
            .spawn(move || answer(&asked, &questions))?;
        self.service = Some(service);
        Ok(())
    }
}

/// Takes questions of child processes, until all of httpd has ended.
fn answer(service: &Service, questions: &OwnedFd) {
    let mut data = vec![0; MAX_QUESTION];
    let mut descriptors = VecDeque::new();
    loop {
        match receive_with(questions.as_fd(), &mut data, &mut descriptors, RecvFlags::empty()) {
            Ok(0) => return,
            Ok(len) => {
                // Without a descriptor, nobody waits for the answer.
                let waiting = descriptors.pop_front();
                descriptors.clear();
                if let Ok(question) = postcard::from_bytes(&data[..len]) {
                    service.ask(question, waiting);
                }
            }
            Err(_) => return,
        }
    }
}
