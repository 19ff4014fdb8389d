//! What an operator reads and changes in the store of orders, in the words of the domain; each method is one unit.
//!
//! For [`crate::operator`]. Invariants: what an operator does is written down in the unit that does it; it is done to
//! the order that the operator saw (the number of journal rows is the fence, as for the runner of a saga).

use super::Answer;
use crate::domain::{Fact, Move, Order};
use std::fmt::Debug;
use waypost_api::{OrderId, Timestamp};
use waypost_durable::{Epoch, outbox, saga::Phase};
use waypost_service::operator::Asked;

/// One row of a saga's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Its number, from 1.
    pub row: u64,
    /// What it says.
    pub facts: Vec<Fact>,
    /// When it was written.
    pub at: Timestamp,
}

/// What an operator can do to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// Try a parked saga again now.
    Retry,
    /// End a parked saga without what it still wanted to undo.
    Abandon,
    /// Give money back.
    Refund,
}

impl ActionKind {
    const ALL: [ActionKind; 3] = [Self::Retry, Self::Abandon, Self::Refund];

    /// The name in rows and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Abandon => "abandon",
            Self::Refund => "refund",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<ActionKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is written down and about to be asked for.
    Asked,
    /// It is done.
    Done,
    /// Another service said no. Nothing was done.
    Rejected,
    /// Another service did not answer. It may have been done.
    Unknown,
}

impl Outcome {
    const ALL: [Outcome; 4] = [Self::Asked, Self::Done, Self::Rejected, Self::Unknown];

    /// The name in rows and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Done => "done",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome with this name.
    pub fn from_name(name: &str) -> Option<Outcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// A refund that an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundAttempt {
    /// Its number among the refunds of operators for this order; part of its key.
    pub number: u32,
    /// Ten-thousandths; positive.
    pub amount: i64,
}

/// An action as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What.
    pub kind: ActionKind,
    /// How far it is.
    pub outcome: Outcome,
    /// Who asked for it, and why.
    pub asked: Asked,
    /// Set for refunds.
    pub refund: Option<RefundAttempt>,
    /// What was found or left open.
    pub notes: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// Everything that is known of an order here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The order.
    pub order: Order,
    /// Where its saga stands, as in the rows: `forward`, `committed`, `back`, `stuck`, `ended`.
    pub phase: String,
    /// The journal of its saga, the oldest row first.
    pub journal: Vec<JournalRow>,
    /// Every state that it was in, the first one first.
    pub history: Vec<Move>,
    /// What operators did, the oldest first.
    pub actions: Vec<Action>,
    /// Which runner of its saga had it last.
    pub epoch: Epoch,
}

impl Record {
    /// The facts of all rows, the oldest first.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.journal.iter().flat_map(|row| &row.facts)
    }

    /// How many rows the journal has: the fence.
    pub fn rows(&self) -> u64 {
        self.journal.len() as u64
    }

    /// True while the saga is parked, also while it is being tried again.
    pub fn is_parked(&self) -> bool {
        self.phase == Phase::Stuck.as_str()
    }
}

/// The end of a parked saga that is given up.
#[derive(Debug, Clone)]
pub struct Abandonment {
    /// The order after it.
    pub order: Order,
    /// How many rows the journal has if nobody else has written.
    pub rows_before: u64,
    /// The new row.
    pub facts: Vec<Fact>,
    /// What is added to the order's history.
    pub moved: Move,
    /// What the others are told.
    pub event: Option<outbox::Event>,
    /// What is written down.
    pub action: Action,
}

/// Orders, for operators.
///
/// Cancel safety of every method: once it has been polled, its unit may be carried out whole although the future is
/// dropped; it is never carried out in part.
pub trait OperatorStore: Debug + Send + Sync + 'static {
    /// Orders whose sagas are parked, by their ids, those after `after`, at most `max`.
    fn parked(&self, after: Option<OrderId>, max: u32) -> Answer<'_, Vec<Record>>;

    /// How many sagas are parked.
    fn count_parked(&self) -> Answer<'_, u64>;

    /// Everything about one order.
    fn record(&self, id: OrderId) -> Answer<'_, Option<Record>>;

    /// Lets a parked saga be taken over at once. False, with nothing changed, when the journal has other rows than
    /// expected or the saga is not parked.
    fn retry(&self, id: OrderId, rows_before: u64, action: Action) -> Answer<'_, bool>;

    /// Ends a parked saga. False, with nothing changed, when the journal has other rows than expected or the saga is
    /// not parked.
    fn abandon(&self, abandonment: Abandonment) -> Answer<'_, bool>;

    /// Writes an action down that changes nothing here.
    fn note(&self, id: OrderId, action: Action) -> Answer<'_, ()>;
}
