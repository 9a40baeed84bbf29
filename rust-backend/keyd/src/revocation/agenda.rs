// SPDX-License-Identifier: Apache-2.0
//! What is to be done, and when. Threads take the tasks that are due; only a few at once concern the same host, so that one that
//! does not answer holds up nothing else.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use mod_tls_core::base::clock::unix_now;
use mod_tls_core::base::lock::lock;
use mod_tls_core::revocation::shared_table::Key;

/// How many tasks concern the same host at once.
const AT_ONE_HOST: usize = 4;

/// How long a thread sleeps before it looks at the clock again, which may have been set, or have stood still.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What a task is about. Keys are those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Task {
    /// The answer to a question of a child process, which waits.
    Status(Key),
    Staple(Key),
    List(Key),
}

#[derive(Debug, Default)]
struct Tasks {
    /// By the time when they are due, in seconds since 1970.
    due: BTreeMap<(i64, Task), String>,
    times: HashMap<Task, i64>,
    /// How many are being done, by the host that they concern.
    busy: HashMap<String, usize>,
    /// Those that are due, and wait for others about the same host.
    parked: HashMap<String, VecDeque<Task>>,
}

/// The tasks.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    tasks: Mutex<Tasks>,
    changed: Condvar,
}

impl Agenda {
    /// Has a task done at this time, and not at the one that was said before. `host` is the one that it concerns.
    pub(super) fn set(&self, task: Task, at: i64, host: &str) {
        let mut tasks = lock(&self.tasks);
        tasks.drop_time(task);
        tasks.times.insert(task, at);
        tasks.due.insert((at, task), host.to_owned());
        drop(tasks);
        self.changed.notify_one();
    }

    /// A task is not to be done any more. It may be under way.
    pub(super) fn remove(&self, task: Task) {
        lock(&self.tasks).drop_time(task);
    }

    /// Waits for the next task that is due, and returns it with the host that it concerns.
    pub(super) fn next(&self) -> (Task, String) {
        let mut tasks = lock(&self.tasks);
        loop {
            if let Some(found) = tasks.take(unix_now()) {
                return found;
            }
            tasks = self
                .changed
                .wait_timeout(tasks, LONGEST_SLEEP)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// A task that concerns this host was done.
    pub(super) fn done(&self, host: &str) {
        let mut tasks = lock(&self.tasks);
        if let Some(busy) = tasks.busy.get_mut(host) {
            *busy -= 1;
            if *busy == 0 {
                tasks.busy.remove(host);
            }
        }
        drop(tasks);
        self.changed.notify_one();
    }
}

impl Tasks {
    fn drop_time(&mut self, task: Task) {
        if let Some(at) = self.times.remove(&task) {
            self.due.remove(&(at, task));
        }
    }

    /// The next task that can be done, which is under way from now on.
    fn take(&mut self, now: i64) -> Option<(Task, String)> {
        if let Some(found) = self.unpark() {
            return Some(found);
        }
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, task), host) = first.remove_entry();
            self.times.remove(&task);
            if self.may_begin(&host) {
                return Some(self.begin(task, host));
            }
            self.parked.entry(host).or_default().push_back(task);
        }
        None
    }

    fn unpark(&mut self) -> Option<(Task, String)> {
        let host = self.parked.keys().find(|host| self.may_begin(host))?.clone();
        let waiting = self.parked.get_mut(&host)?;
        let task = waiting.pop_front();
        if waiting.is_empty() {
            self.parked.remove(&host);
        }
        Some(self.begin(task?, host))
    }

    fn may_begin(&self, host: &str) -> bool {
        self.busy.get(host).is_none_or(|busy| *busy < AT_ONE_HOST)
    }

    fn begin(&mut self, task: Task, host: String) -> (Task, String) {
        *self.busy.entry(host.clone()).or_default() += 1;
        (task, host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u8) -> Task {
        Task::Staple([number; 16])
    }

    #[test]
    fn in_the_order_of_their_times() {
        let agenda = Agenda::default();
        let now = unix_now();
        agenda.set(task(1), now - 1, "a");
        agenda.set(task(2), now - 3, "b");
        agenda.set(task(3), now - 2, "c");
        agenda.set(task(3), now - 4, "c");
        agenda.set(task(4), now - 9, "d");
        agenda.remove(task(4));
        let order = [(); 3].map(|()| agenda.next().0);
        assert_eq!(order, [task(3), task(2), task(1)]);
        assert_eq!(lock(&agenda.tasks).take(now), None);
        agenda.set(task(1), now + 1, "a");
        assert_eq!(lock(&agenda.tasks).take(now), None);
        assert_eq!(agenda.next().0, task(1));
    }

    #[test]
    fn a_host_has_only_a_few() {
        let agenda = Agenda::default();
        let now = unix_now();
        for number in 0..10 {
            agenda.set(task(number), now - 20 + i64::from(number), "slow");
        }
        agenda.set(task(99), now, "other");
        let begun = [(); AT_ONE_HOST + 1].map(|()| agenda.next());
        assert_eq!(begun.last().unwrap(), &(task(99), "other".to_owned()));
        assert_eq!(lock(&agenda.tasks).take(now), None);
        agenda.done("slow");
        assert_eq!(agenda.next().1, "slow");
        assert_eq!(lock(&agenda.tasks).take(now), None);
        assert_eq!(lock(&agenda.tasks).busy["other"], 1);
    }
}
