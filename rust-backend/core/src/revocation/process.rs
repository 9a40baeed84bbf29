// SPDX-License-Identifier: Apache-2.0
//! httpd's parent process has another process ask OCSP responders and fetch lists.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::orders::{Order, Report, Settings, Single, StapleOrder};
use super::questions::{self, Asked, Question};
use super::shared_table::{self, Reader};
use crate::base::diagnostics::Severity;
use crate::base::lock::lock;
use crate::base::log_queue::LogQueue;
use crate::key_process::companion::Companion;
use crate::key_process::parent::{Launch, Launcher, Role};

/// It is started anew at most so often in this time.
const MAX_STARTS: usize = 5;
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// How many values there may be in the table besides the responses for configured certificates and the lists.
pub const MAX_OTHERS: usize = 8192;

/// What there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Settings that the orders share. The number is assigned when the work is given.
    pub settings: Settings,
    /// The certificates for which responses are fetched.
    pub staples: Vec<StapleOrder>,
    /// Where the lists are that are fetched.
    pub lists: Vec<String>,
    /// Whether child processes ask questions.
    pub has_questions: bool,
}

impl Work {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.staples.is_empty() && self.lists.is_empty() && !self.has_questions
    }
}

/// How the processes of httpd are connected with the one that answers.
#[derive(Debug)]
pub struct Link {
    /// What is published.
    pub table: Reader,
    way: Arc<OwnedFd>,
    /// The number of the settings.
    pub generation: u64,
}

impl Link {
    /// Asks a question, whose answer is waited for no longer than `limit`.
    pub fn ask(&self, question: &Question, limit: Duration) -> io::Result<Asked> {
        Asked::ask(self.way.as_fd(), question, limit)
    }
}

/// What the process needs to write and to hear; the next one gets it, too.
#[derive(Debug)]
struct Ends {
    /// The table to write.
    table: OwnedFd,
    /// Its reading end, to be copied.
    reader: OwnedFd,
    /// Where questions are asked.
    way: Arc<OwnedFd>,
    /// Where they arrive.
    questions: OwnedFd,
}

impl Ends {
    fn new(values: usize) -> io::Result<Self> {
        let (table, reader) = shared_table::create("mod_tls: OCSP responses and revocation lists", values)?;
        let (way, questions) = questions::way()?;
        Ok(Self {
            table,
            reader,
            way: Arc::new(way),
            questions,
        })
    }
}

#[derive(Debug, Default)]
struct State {
    launch: Option<Launch>,
    running: Option<Companion>,
    ends: Option<Ends>,
    generation: u64,
    starts: VecDeque<Instant>,
    /// The process that this belongs to.
    owner: u32,
}

/// The process, for httpd's parent process.
#[derive(Debug)]
pub struct RevocationProcess {
    launcher: Arc<dyn Launcher>,
    log_queue: Arc<LogQueue>,
    state: Mutex<State>,
    /// Whether a new process has to be told what there is to do.
    wants_work: AtomicBool,
}

impl RevocationProcess {
    /// None yet. Messages about it are logged to `log_queue`.
    pub fn new(launcher: Arc<dyn Launcher>, log_queue: Arc<LogQueue>) -> Self {
        Self {
            launcher,
            log_queue,
            state: Mutex::default(),
            wants_work: AtomicBool::new(false),
        }
    }

    /// Its process number; 0 if it does not run.
    pub fn pid(&self) -> u32 {
        lock(&self.state).running.as_ref().map_or(0, |running| running.pid)
    }

    /// Prepares for `work`, which is given later, and returns what child processes need. `values` is the number of responses and
    /// lists. The error says why that is not possible.
    pub fn prepare(&self, values: usize) -> Result<Arc<Link>, String> {
        let state = &mut *lock(&self.state);
        let values = values + MAX_OTHERS;
        let has_room = |ends: &Ends| shared_table::has_room(ends.reader.as_fd(), values);
        if !state.ends.as_ref().is_some_and(has_room) {
            state.ends = Some(Ends::new(values).map_err(|error| error.to_string())?);
            // The one that runs writes another table.
            state.running = None;
        }
        state.generation += 1;
        let ends = state.ends.as_ref().ok_or("there is no memory")?;
        let reader = ends.reader.try_clone().and_then(Reader::new);
        Ok(Arc::new(Link {
            table: reader.map_err(|error| error.to_string())?,
            way: Arc::clone(&ends.way),
            generation: state.generation,
        }))
    }

    /// Has the process do `work`, which belongs to `link`. One that runs already goes on, if it was started as `launch` says.
    pub fn give(&self, launch: &Launch, link: &Link, work: Work) {
        self.wants_work.store(false, Relaxed);
        let state = &mut *lock(&self.state);
        state.owner = std::process::id();
        if state.launch.as_ref() != Some(launch) {
            state.running = None;
            state.launch = Some(launch.clone());
        }
        let given = match &state.running {
            Some(running) => Ok(running),
            None => self.start(state),
        };
        let given = given.and_then(|running| tell(running, link.generation, work));
        if let Err(error) = given {
            state.running = None;
            let program = launch.program.display();
            let text = format!(
                "{program} --revocation, which asks OCSP responders and fetches revocation lists, cannot be started: {error}; \
                 another attempt follows"
            );
            self.log_queue.add(Severity::Error, text);
        }
    }

    fn start<'a>(&self, state: &'a mut State) -> io::Result<&'a Companion> {
        let (Some(launch), Some(ends)) = (&state.launch, &state.ends) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        state.starts.push_back(Instant::now());
        let process = Companion::start(&*self.launcher, launch, Role::Revocation)?;
        process.tell(&Order::Parent(std::process::id()), &[])?;
        process.tell(&Order::Begin, &[ends.table.as_fd(), ends.questions.as_fd()])?;
        Ok(state.running.insert(process))
    }

    /// Has a response fetched for one more certificate.
    pub fn add(&self, single: Single) {
        if let Some(running) = &lock(&self.state).running {
            // If it has ended, the next one is told everything.
            let _ = running.tell(&Order::More(Box::new(single)), &[]);
        }
    }

    /// Lets the process end: there is nothing to do.
    pub fn stop(&self) {
        let state = &mut *lock(&self.state);
        state.running = None;
        state.launch = None;
        self.wants_work.store(false, Relaxed);
    }

    /// Whether a process is to be started, and told what there is to do.
    pub fn wants_work(&self) -> bool {
        self.wants_work.load(Relaxed)
    }

    /// Looks after the process: the parent process calls this every few seconds, and with `has_ended` when this child of it has
    /// ended.
    pub fn tick(&self, has_ended: Option<u32>) {
        let state = &mut *lock(&self.state);
        if state.launch.is_none() {
            return;
        }
        if let Some(running) = &mut state.running {
            let problem = match running.ask::<Report>(&Order::Ping) {
                _ if has_ended == Some(running.pid) => "has ended",
                Ok(report) => {
                    for (severity, text) in report.messages {
                        self.log_queue.add(severity, text);
                    }
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => "does not answer and is killed",
                Err(_) => "has ended",
            };
            running.kill();
            let text = format!(
                "tls-keyd --revocation (process {}), which asks OCSP responders and fetches revocation lists, {problem}",
                running.pid
            );
            self.log_queue.add(Severity::Error, text);
            state.running = None;
        }
        state.starts.retain(|start| start.elapsed() < STARTS_WITHIN);
        if state.starts.len() < MAX_STARTS {
            self.wants_work.store(true, Relaxed);
        }
    }

    /// Drops, in a child process, what only the parent process needs. Without child processes (`httpd -X`) nothing changes.
    pub fn in_child(&self) {
        let state = &mut *lock(&self.state);
        if state.owner != std::process::id() {
            *state = State::default();
        }
    }
}

/// How many certificates are sent with one order.
const AT_ONCE: usize = 256;

fn tell(process: &Companion, generation: u64, work: Work) -> io::Result<()> {
    let settings = Settings {
        generation,
        ..work.settings
    };
    process.tell(&Order::Settings(settings), &[])?;
    for staples in work.staples.chunks(AT_ONCE) {
        process.tell(&Order::Staples(staples.to_vec()), &[])?;
    }
    process.tell(&Order::Lists(work.lists), &[])?;
    process.tell(&Order::Go, &[])
}
