// SPDX-License-Identifier: Apache-2.0
//! Processes that a thread plays.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use super::super::channel::Channel;
use super::super::parent::{FileRequest, Launcher, Role};
use super::super::protocol::Purpose;
use super::super::watch_orders::{WatchOrder, WatchReport};
use super::*;
use crate::base::log_queue::LogQueue;

/// What the next process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It answers.
    Good,
    /// Its keys have other public parts than before.
    OtherKeys,
    /// It is not there.
    Missing,
    /// It does not answer the first order.
    Silent,
}

/// What the launcher and its processes have done.
#[derive(Debug)]
struct Stage {
    next: Mutex<Kind>,
    starts: Mutex<Vec<Role>>,
    orders: Mutex<Vec<Order>>,
    /// The connections of the processes, which end when these are dropped.
    open: Mutex<Vec<OwnedFd>>,
}

#[derive(Debug)]
struct Player(Arc<Stage>);

impl Launcher for Player {
    fn launch(&self, _: &Launch, role: Role, socket: OwnedFd) -> io::Result<u32> {
        lock(&self.0.starts).push(role);
        let kind = *lock(&self.0.next);
        match (kind, role) {
            (Kind::Missing, _) => return Err(io::ErrorKind::NotFound.into()),
            (Kind::Silent, _) | (_, Role::Bell) => {}
            (_, Role::Watch) => {
                thread::spawn(move || watch(Channel::new(socket)));
            }
            _ => {
                lock(&self.0.open).push(socket.try_clone()?);
                let stage = Arc::clone(&self.0);
                thread::spawn(move || play(&stage, kind, Channel::new(socket)));
            }
        }
        // The number of no process, so that none is killed.
        Ok(0)
    }
}

/// The process that watches: nothing happens.
fn watch(mut channel: Channel) {
    while let Ok(order) = channel.receive::<WatchOrder>(true) {
        if order == WatchOrder::Report && channel.send(&WatchReport::default(), &[]).is_err() {
            return;
        }
    }
}

fn play(stage: &Stage, kind: Kind, mut channel: Channel) {
    while let Ok(order) = channel.receive::<Order>(true) {
        let answer = match &order {
            Order::Begin => channel.descriptor().map(|_| Answer::Begun(Ok(()))).ok(),
            Order::Read(orders) => {
                let contents = orders.iter().map(|order| read(order, kind, channel.descriptor()));
                Some(Answer::Read(contents.collect()))
            }
            Order::Ping => Some(Answer::Pong(vec![(Severity::Notice, "a message".to_owned())])),
            _ => None,
        };
        lock(&stage.orders).push(order);
        if answer.is_some_and(|answer| channel.send(&answer, &[]).is_err()) {
            return;
        }
    }
}

fn read(order: &FileOrder, kind: Kind, file: io::Result<OwnedFd>) -> Result<FileContent, String> {
    file.map_err(|error| error.to_string())?;
    let key = KeyInfo {
        id: order.first_key,
        public: format!("{kind:?}").into_bytes(),
        schemes: vec![0x0403],
    };
    Ok(FileContent {
        text: Vec::new(),
        keys: vec![Ok(key)],
        is_locked: false,
    })
}

/// A process that was started, and what it stands on.
fn started() -> (KeyProcess, Arc<Stage>, Arc<LogQueue>) {
    let stage = Arc::new(Stage {
        next: Mutex::new(Kind::Good),
        starts: Mutex::default(),
        orders: Mutex::default(),
        open: Mutex::default(),
    });
    let log_queue = Arc::new(LogQueue::default());
    let process = KeyProcess::new(Arc::new(Player(Arc::clone(&stage))), Arc::clone(&log_queue));
    process.start(&launch(), true).unwrap();
    (process, stage, log_queue)
}

fn launch() -> Launch {
    Launch {
        program: "tls-keyd".into(),
        user: None,
        tokens: false,
        cache: None,
    }
}

/// Ends the process that runs; the next one is of this kind.
fn end(stage: &Stage, next: Kind) {
    *lock(&stage.next) = next;
    for socket in lock(&stage.open).drain(..) {
        let _ = rustix::net::shutdown(&socket, rustix::net::Shutdown::Both);
    }
}

/// Waits until the process has carried out all orders.
fn settle(process: &KeyProcess) {
    process.start(&launch(), true).unwrap();
}

fn starts(stage: &Stage) -> usize {
    lock(&stage.starts).iter().filter(|role| **role == Role::Keys).count()
}

fn messages(log_queue: &LogQueue) -> Vec<String> {
    std::iter::from_fn(|| log_queue.take()).map(|(_, text)| text).collect()
}

fn read_file(process: &KeyProcess) -> Arc<super::super::remote_key::RemoteKey> {
    let request = FileRequest {
        path: Path::new("/proc/self/maps").into(),
        file: File::open("/proc/self/maps").unwrap(),
        wanted: Wanted::First,
        purpose: Purpose::Server,
    };
    let mut key = None;
    process
        .read(std::iter::once(request), |read| {
            key = read.unwrap().keys.pop();
        })
        .unwrap();
    key.unwrap().unwrap().key
}

#[test]
fn is_replaced_at_most_five_times_a_minute() {
    let (process, stage, log_queue) = started();
    let minute_later = || {
        for start in lock(&process.starts).iter_mut() {
            *start -= STARTS_WITHIN;
        }
    };
    for round in 1..3 {
        end(&stage, Kind::Missing);
        for _ in 0..10 {
            process.tick(None);
        }
        assert_eq!(starts(&stage), 1 + round * MAX_STARTS);
        let said = messages(&log_queue);
        assert_eq!(
            said.iter().filter(|text| text.contains("within a minute")).count(),
            1,
            "{said:?}"
        );
        assert!(said.iter().any(|text| text.contains("tls-keyd cannot be started: ")));
        assert_eq!(process.processes()[0], 0);
        minute_later();
    }
    *lock(&stage.next) = Kind::Good;
    process.tick(None);
    assert!(messages(&log_queue).iter().any(|text| text.contains("started again")));
    process.tick(None);
    assert_eq!(starts(&stage), 2 + 2 * MAX_STARTS);
}

#[test]
fn one_that_answers_stays() {
    let (process, stage, log_queue) = started();
    for _ in 0..3 {
        process.tick(None);
        process.start(&launch(), true).unwrap();
    }
    assert_eq!(starts(&stage), 1);
    assert!(messages(&log_queue).contains(&"a message".to_owned()));
}

#[test]
fn one_that_ends_at_once() {
    let (process, stage, log_queue) = started();
    end(&stage, Kind::Silent);
    process.tick(None);
    assert!(
        messages(&log_queue)
            .iter()
            .any(|text| text.contains("it has ended at once"))
    );
}

#[test]
fn keys_are_read_again_before_they_are_served() {
    let (process, stage, _) = started();
    let key = read_file(&process);
    end(&stage, Kind::Good);
    lock(&stage.orders).clear();
    process.tick(None);
    settle(&process);
    let orders = lock(&stage.orders);
    let position = |wanted: fn(&Order) -> bool| orders.iter().position(wanted).unwrap();
    let read = position(|order| matches!(order, Order::Read(_)));
    assert!(read < position(|order| matches!(order, Order::Serve)));
    let Order::Read(files) = &orders[read] else { panic!() };
    assert_eq!(files[0].first_key, key.id);
    assert!(!orders.iter().any(|order| matches!(order, Order::Forget(_))));
}

#[test]
fn other_keys_are_not_used() {
    let (process, stage, log_queue) = started();
    let key = read_file(&process);
    end(&stage, Kind::OtherKeys);
    process.tick(None);
    settle(&process);
    assert!(lock(&stage.orders).contains(&Order::Forget(vec![key.id])));
    let said = messages(&log_queue);
    assert!(
        said.iter()
            .any(|text| text.contains("/proc/self/maps: the private key is another one")),
        "{said:?}"
    );
}

#[test]
fn keys_that_nobody_uses_are_released_and_not_read_again() {
    let (process, stage, _) = started();
    let id = read_file(&process).id;
    process.tick(None);
    settle(&process);
    assert!(lock(&stage.orders).contains(&Order::Release(vec![id])));
    end(&stage, Kind::Good);
    lock(&stage.orders).clear();
    process.tick(None);
    settle(&process);
    assert!(!lock(&stage.orders).iter().any(|order| matches!(order, Order::Read(_))));
}

/// A child process has no connection by which it could give orders, and starts nothing.
#[test]
fn other_processes_start_none() {
    let (process, stage, _) = started();
    process.owner.store(1, Relaxed);
    process.in_child(4);
    end(&stage, Kind::Good);
    process.tick(None);
    assert_eq!(starts(&stage), 1);
    assert!(process.is_on());
    assert!(process.door().unwrap().exit().is_none());
}

#[test]
fn the_end_of_the_watcher_and_of_the_bell_are_made_good() {
    let (process, stage, _) = started();
    let counts = || {
        let count = |wanted| lock(&stage.starts).iter().filter(|role| **role == wanted).count();
        [count(Role::Keys), count(Role::Watch), count(Role::Bell)]
    };
    let set = |pid, bell| {
        if let Some(watcher) = &mut *lock(&process.watcher) {
            (watcher.pid, watcher.bell) = (pid, bell);
        }
    };
    set(7, 8);
    assert_eq!(counts(), [1, 1, 1]);
    process.tick(Some(9));
    assert_eq!(counts(), [1, 1, 1]);
    process.tick(Some(8));
    assert_eq!(counts(), [1, 1, 2]);
    process.wants_files.store(false, Relaxed);
    process.tick(Some(7));
    assert_eq!(counts(), [1, 2, 3]);
    assert!(process.wants_files());
}
