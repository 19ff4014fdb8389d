//! Who waits for a group, and how many groups run.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::task::task_tracker::TaskTrackerToken;
use waypost_telemetry::sql;

/// A unit that waits, and whoever waits for it.
pub(super) struct Member<R, T, E> {
    pub(super) request: R,
    pub(super) span: sql::Operation,
    pub(super) answer: oneshot::Sender<Result<T, E>>,
    /// Keeps the database open until it is answered.
    pub(super) token: TaskTrackerToken,
    pub(super) since: Instant,
    /// How long it waited for its group.
    pub(super) waited: Duration,
}

/// The units of one kind that wait.
pub(super) struct Queue<R, T, E>(Mutex<State<R, T, E>>);

struct State<R, T, E> {
    waiting: VecDeque<Member<R, T, E>>,
    running: usize,
}

/// A run of groups, one after the other. Dropped before it has found nobody left, it is counted no more.
pub(super) struct Work<'q, R, T, E> {
    queue: &'q Queue<R, T, E>,
    is_over: bool,
}

impl<R, T, E> Member<R, T, E> {
    pub(super) fn new(
        request: R,
        span: sql::Operation,
        answer: oneshot::Sender<Result<T, E>>,
        token: TaskTrackerToken,
    ) -> Self {
        Member { request, span, answer, token, since: Instant::now(), waited: Duration::ZERO }
    }
}

impl<R, T, E> Queue<R, T, E> {
    /// Whoever is told true begins to work; it is counted already.
    pub(super) fn push(&self, member: Member<R, T, E>, most_units: usize, most_groups: usize) -> bool {
        let mut state = self.lock();
        state.waiting.push_back(member);
        let begins = state.running == 0 || (state.waiting.len() >= most_units && state.running < most_groups);
        state.running += usize::from(begins);
        begins
    }

    /// As [`Queue::push`], of those that wait behind a group that is held up.
    pub(super) fn begins_beside(&self, most_groups: usize) -> bool {
        let mut state = self.lock();
        let begins = !state.waiting.is_empty() && state.running < most_groups;
        state.running += usize::from(begins);
        begins
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<R, T, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'q, R, T, E> Work<'q, R, T, E> {
    /// What the queue has counted.
    pub(super) fn begun(queue: &'q Queue<R, T, E>) -> Self {
        Work { queue, is_over: false }
    }

    /// Those that have waited longest, sorted by their subjects, no two with the same. `None` ends the work.
    pub(super) fn next(&mut self, most: usize, subject: fn(&R) -> String) -> Option<Vec<Member<R, T, E>>> {
        let mut state = self.queue.lock();
        if state.waiting.is_empty() {
            // Under the lock, so that whoever comes now finds that nobody works.
            state.running -= 1;
            self.is_over = true;
            return None;
        }
        let (mut subjects, mut members, mut later) = (HashSet::new(), Vec::new(), VecDeque::new());
        while let Some(mut member) = state.waiting.pop_front() {
            let about = subject(&member.request);
            if members.len() < most && subjects.insert(about.clone()) {
                member.waited = member.since.elapsed();
                members.push((about, member));
            } else {
                later.push_back(member);
            }
        }
        state.waiting = later;
        drop(state);
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        Some(members.into_iter().map(|(_, member)| member).collect())
    }
}

impl<R, T, E> Drop for Work<'_, R, T, E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.queue.lock().running -= 1;
        }
    }
}

impl<R, T, E> Default for Queue<R, T, E> {
    fn default() -> Self {
        Queue(Mutex::new(State { waiting: VecDeque::new(), running: 0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::task::TaskTracker;
    use waypost_telemetry::Telemetry;

    fn member(name: &'static str) -> Member<&'static str, (), ()> {
        let span = Telemetry::disabled().sql("postgresql", "test").start("test");
        Member::new(name, span, oneshot::channel().0, TaskTracker::new().token())
    }

    fn names(members: &[Member<&'static str, (), ()>]) -> Vec<&'static str> {
        members.iter().map(|member| member.request).collect()
    }

    #[test]
    fn a_group_has_each_subject_once_in_their_order() {
        let queue = Queue::default();
        assert!(queue.push(member("b"), 2, 4), "who comes first begins");
        for name in ["b", "a", "c"] {
            let begins = queue.push(member(name), 99, 4);
            assert!(!begins, "the others wait for the one that works");
        }
        let mut work = Work::begun(&queue);
        let mut next = || work.next(2, |name| (*name).to_owned()).map(|members| names(&members));
        assert_eq!(next(), Some(vec!["a", "b"]));
        assert_eq!(next(), Some(vec!["b", "c"]), "what stood behind its own subject has waited longest");
        assert_eq!(next(), None);
        assert!(queue.push(member("d"), 99, 4), "nobody works any more");
    }

    #[test]
    fn others_begin_beside_those_that_are_many_or_held_up() {
        let queue = Queue::default();
        assert!(queue.push(member("a"), 2, 2));
        assert!(queue.push(member("b"), 2, 2), "as many wait as one group has");
        assert!(!queue.push(member("c"), 2, 2), "no more groups than that");
        assert!(!queue.begins_beside(2));
        drop(Work::begun(&queue));
        assert!(queue.begins_beside(2), "a group that broke is not counted for ever");
    }
}
