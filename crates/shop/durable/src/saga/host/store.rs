//! What a host asks of the service that owns the sagas: the port behind which its store stands.

use crate::{
    BoxFuture, Epoch, StoreError,
    saga::{Batch, Entry, Finished, Loaded, Saga},
};
use std::{fmt, hash::Hash, time::Duration};
use waypost_errors::ErrorCode;
use waypost_telemetry::{ErrorType, SpanBuilder};

/// The state of a store's sagas.
pub type StateOf<P> = <<P as SagaStore>::Saga as Saga>::State;

/// A fact of a store's sagas.
pub type EntryOf<P> =
    Entry<<<P as SagaStore>::Saga as Saga>::Output, <<P as SagaStore>::Saga as Saga>::Reason>;

/// What a store answers to a host.
pub type StoreFuture<'a, P, T> = BoxFuture<'a, Result<T, <P as SagaStore>::Error>>;

/// Who runs a saga, and for how long nobody else takes it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The runner: one process has one. For people who read the rows; the epoch is what a runner is known by.
    pub runner: String,
    /// Which runner of this saga it is.
    pub epoch: Epoch,
    /// How long it lasts from the moment it is written, by the store's clock.
    pub lasts: Duration,
}

/// A saga that is to be stored.
#[derive(Debug)]
pub struct Opening<'a, P: SagaStore> {
    /// Its state.
    pub state: &'a StateOf<P>,
    /// Its first facts.
    pub facts: &'a [EntryOf<P>],
    /// Who runs it.
    pub lease: &'a Lease,
    /// What is stored beside it.
    pub extra: &'a P::Extra,
}

/// What became of an [`Opening`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened<E> {
    /// It is stored, and its runner has it in [`Epoch::FIRST`].
    New,
    /// Nothing was stored, because this was there already.
    Existing(E),
}

/// One unit of a saga.
#[derive(Debug)]
pub struct Advance<'a, P: SagaStore> {
    /// The saga.
    pub id: &'a P::Id,
    /// Its state before the unit.
    pub before: &'a StateOf<P>,
    /// Its state after the unit, as [`SagaStore::after`] gave it.
    pub after: &'a StateOf<P>,
    /// The new row of the journal.
    pub batch: &'a Batch<P::Saga>,
    /// Who runs it from here.
    pub lease: &'a Lease,
}

/// A saga that nobody runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished<I> {
    /// The saga.
    pub id: I,
    /// The trace that it belongs to, as `traceparent`.
    pub traceparent: Option<String>,
    /// The `tracestate` of that trace.
    pub tracestate: Option<String>,
}

/// The sagas of one kind as their service keeps them; a port that its store, or what stands between the two, implements.
///
/// Each method that reads or writes rows is one atomic unit. Leases are judged by the clock of the store, which all hosts
/// share; none of them tells it the time. The condition on rows and epoch is part of the statement that writes.
///
/// Cancel safety of these methods: once polled, a unit may be carried out whole although the future is dropped; it is never
/// carried out in part.
pub trait SagaStore: Send + Sync + Sized + 'static {
    /// The kind of saga.
    type Saga: Saga;
    /// What a saga is known by.
    type Id: Clone + Eq + Hash + AsRef<str> + fmt::Debug + fmt::Display + Send + Sync + 'static;
    /// What is stored beside a new saga and is none of its state, such as the client's key.
    type Extra: fmt::Debug + Send + Sync + 'static;
    /// What stands in the way of a new saga, such as what an earlier request with the client's key has stored.
    type Existing: fmt::Debug + Send + 'static;
    /// What the store answers when it fails.
    type Error: StoreError + ErrorType + From<ErrorCode> + Send + Sync + 'static;

    /// The id in a state.
    fn id(state: &StateOf<Self>) -> Self::Id;

    /// The state after the facts of a unit. Pure but for what it tells the unit's span.
    fn after(&self, before: &StateOf<Self>, batch: &Batch<Self::Saga>) -> Result<StateOf<Self>, Self::Error>;

    /// Stores a new saga with the first row of its journal, unless something stands in its way.
    fn open<'a>(&'a self, opening: &Opening<'a, Self>) -> StoreFuture<'a, Self, Opened<Self::Existing>>;

    /// Carries out one unit of a saga. False, with nothing changed, when the journal has other rows than expected, or the
    /// saga another runner than the lease's epoch says.
    fn advance<'a>(&'a self, advance: &Advance<'a, Self>) -> StoreFuture<'a, Self, bool>;

    /// A saga with its journal, if the runner of this epoch still has it.
    fn reload<'a>(&'a self, id: &Self::Id, epoch: Epoch)
    -> StoreFuture<'a, Self, Option<Loaded<Self::Saga>>>;

    /// Sagas that have not ended and whose lease ran out, those that wait longest first, at most `max`.
    fn unfinished(&self, max: u32) -> StoreFuture<'_, Self, Vec<Unfinished<Self::Id>>>;

    /// Takes over a saga whose lease ran out, in the next epoch, and notes [`Entry::Resumed`] in its journal; `None` when
    /// somebody else was faster or it has ended. `runner` and `lasts` as in a [`Lease`].
    fn take_over<'a>(
        &'a self,
        id: &Self::Id,
        runner: &str,
        lasts: Duration,
    ) -> StoreFuture<'a, Self, Option<Loaded<Self::Saga>>>;

    /// Prolongs, for this time from now, the leases of the sagas that the runners of these epochs still have, and gives
    /// those that they have no longer. A saga that is parked or has ended is neither prolonged nor lost.
    fn renew(&self, held: Vec<(Self::Id, Epoch)>, lasts: Duration) -> StoreFuture<'_, Self, Vec<Self::Id>>;

    /// The span around the unit that stores a new saga.
    fn opening_span(&self, state: &StateOf<Self>) -> SpanBuilder;

    /// The span around a saga that was taken over.
    fn resuming_span(&self, id: &Self::Id) -> SpanBuilder;

    /// A run of a saga is over, in this state and this way: for logs and metrics in the service's own words.
    fn finished(&self, state: &StateOf<Self>, how: Finished);
}
