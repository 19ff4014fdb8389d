//! What is kept of a saga, and the port through which the owning service's store keeps it.

use super::{AppendError, Saga};
use crate::Epoch;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The name of a step in a journal.
pub type StepName = Cow<'static, str>;

/// One fact. Facts are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry<O, R> {
    /// The step may have run from here on. Written before the first try, so it also says that there may have been one.
    Intended(StepName),
    /// The step was done. A local step has no output.
    Done(StepName, Option<O>),
    /// The step was refused and no try of it is open: nothing was done, nothing needs to be undone.
    Refused(StepName, R),
    /// The step is given up although a try of it is open: its budget is spent, or a later try was refused. It is undone
    /// as if it had been done.
    GivenUp(StepName, R),
    /// The saga was asked to turn back.
    CancelRequested,
    /// The step was taken back.
    Undone(StepName),
    /// What makes up for the refused step was done.
    MadeUp(StepName),
    /// An undo of this step kept failing, or a step after the pivot was refused with nothing to make up for it.
    Stuck(StepName, R),
    /// A runner took the saga over. It may try again what was stuck. What was intended before this may have been tried
    /// by the runner before, so whoever resumes a saga writes it first.
    Resumed,
    /// Nothing is left to do.
    Ended,
}

impl<O, R> Entry<O, R> {
    /// The step that the fact is about.
    pub fn step(&self) -> Option<&StepName> {
        match self {
            Entry::Intended(step)
            | Entry::Done(step, _)
            | Entry::Refused(step, _)
            | Entry::GivenUp(step, _)
            | Entry::Undone(step)
            | Entry::MadeUp(step)
            | Entry::Stuck(step, _) => Some(step),
            Entry::CancelRequested | Entry::Resumed | Entry::Ended => None,
        }
    }
}

/// How a saga ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending<R> {
    /// Every step was done.
    Completed,
    /// A step failed; what was done before it is undone or made up for.
    Failed(R),
    /// It was asked to turn back before the pivot; what was done is undone.
    Cancelled,
}

/// Where a saga stands, for the store to index and to guard by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the pivot: it may still be cancelled.
    Forward,
    /// The pivot is intended: it can only be completed.
    Committed,
    /// It turned back.
    Back,
    /// Parked until it is resumed.
    Stuck,
    /// At its end.
    Ended,
}

impl Phase {
    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Forward => "forward",
            Phase::Committed => "committed",
            Phase::Back => "back",
            Phase::Stuck => "stuck",
            Phase::Ended => "ended",
        }
    }
}

/// The durable facts of one saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log<O, R> {
    entries: Vec<Entry<O, R>>,
    rows: u64,
}

impl<O, R> Log<O, R> {
    /// The log as the store has it: the facts of all rows in order, and how many rows they came in.
    pub fn new(entries: Vec<Entry<O, R>>, rows: u64) -> Self {
        Log { entries, rows }
    }

    /// The facts, oldest first.
    pub fn entries(&self) -> &[Entry<O, R>] {
        &self.entries
    }

    /// How many units wrote them.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn append(&mut self, entries: Vec<Entry<O, R>>) {
        self.entries.extend(entries);
        self.rows += 1;
    }
}

/// What one unit adds to a journal.
#[derive(Debug, Clone)]
pub struct Batch<S: Saga> {
    /// How many rows the journal has if nobody else has written: the fence. Anything else is a conflict.
    pub rows_before: u64,
    /// The new facts; the state takes them up in this order.
    pub entries: Vec<Entry<S::Output, S::Reason>>,
    /// Where the saga stands after them.
    pub phase: Phase,
    /// Set by the last unit.
    pub ending: Option<Ending<S::Reason>>,
}

/// A saga as the store has it.
#[derive(Debug, Clone)]
pub struct Loaded<S: Saga> {
    /// The state.
    pub state: S::State,
    /// The journal.
    pub log: Log<S::Output, S::Reason>,
    /// In which epoch its runner holds it. The unit that takes a saga over raises it.
    pub epoch: Epoch,
}

/// The journal of one saga in the hands of one runner; a port that the owning service's store implements.
pub trait Journal<S: Saga>: Send + Sync {
    /// Writes, in one unit: the batch as one row, the change of state that follows from its facts, and at the end
    /// what the outside is told (an outbox row). Refuses with [`AppendError::Conflict`], changing nothing, when
    /// the journal has not exactly `rows_before` rows.
    ///
    /// Returns the state after it. Dropping the future must not cancel a unit that was begun.
    fn append(&self, batch: Batch<S>) -> BoxFuture<'_, Result<S::State, AppendError>>;

    /// Reads the saga anew after a conflict; [`AppendError::Fenced`] when it belongs to another runner by now.
    fn reload(&self) -> BoxFuture<'_, Result<Loaded<S>, AppendError>>;
}
