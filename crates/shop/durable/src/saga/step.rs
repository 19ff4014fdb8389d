//! The traits that the steps of a saga implement, and a step with what undoes it as a plan holds it.

use super::{Call, Failure, decide::StepShape};
use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, future::Future};
use waypost_telemetry::ErrorType;

/// A kind of saga. The value itself holds what the steps need to do their work, such as clients.
pub trait Saga: Send + Sync + Sized + 'static {
    /// What the steps read and the journal's units change, such as an order.
    type State: Clone + fmt::Debug + Send + Sync + 'static;
    /// What a step hands back; kept in the journal and there for the state to take up.
    type Output: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Why a step did not do its work; kept in the journal.
    type Reason: ErrorType + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// A step that calls another service.
///
/// It must be idempotent by the key of its [`Call`]: it is run again after a crash, a lost answer or a time-out.
/// It runs inside a span of its own and inside the deadline of the attempt.
pub trait Step<S: Saga>: Send + Sync + 'static {
    /// Its name in the journal and in keys. Never changed once journals exist.
    const NAME: &'static str;
    /// The name of its span.
    const SPAN: &'static str;

    /// Does it once.
    fn run(
        &self,
        saga: &S,
        state: &S::State,
        call: &Call,
    ) -> impl Future<Output = Result<S::Output, Failure<S::Reason>>> + Send;
}

/// What takes a step back, or makes up for one that was refused after the pivot.
///
/// It must be idempotent and must succeed when there is nothing to undo: a step whose outcome is not known is
/// undone like one that was done, and one whose effect comes late must find itself undone. It has no way to refuse; any
/// failure is a reason to try again.
pub trait Undo<S: Saga>: Send + Sync + 'static {
    /// Its name in keys.
    const NAME: &'static str;
    /// The name of its span.
    const SPAN: &'static str;

    /// Does it once.
    fn undo(
        &self,
        saga: &S,
        state: &S::State,
        call: &Call,
    ) -> impl Future<Output = Result<(), Failure<S::Reason>>> + Send;
}

/// A step that only changes the state of the own service. It has no code of its own: the journal's unit that
/// carries its [`super::Entry::Done`] makes the change.
pub trait Local<S: Saga>: Send + Sync + 'static {
    /// Its name in the journal.
    const NAME: &'static str;
    /// The name of the span around the unit that carries it.
    const SPAN: &'static str;
}

pub(super) type StepFuture<'a, S> = BoxFuture<'a, Result<<S as Saga>::Output, Failure<<S as Saga>::Reason>>>;
pub(super) type UndoFuture<'a, S> = BoxFuture<'a, Result<(), Failure<<S as Saga>::Reason>>>;

/// [`Step`] behind a pointer.
pub(super) trait AnyStep<S: Saga>: Send + Sync {
    fn run<'a>(&'a self, saga: &'a S, state: &'a S::State, call: &'a Call) -> StepFuture<'a, S>;
}

impl<S: Saga, T: Step<S>> AnyStep<S> for T {
    fn run<'a>(&'a self, saga: &'a S, state: &'a S::State, call: &'a Call) -> StepFuture<'a, S> {
        Box::pin(Step::run(self, saga, state, call))
    }
}

/// [`Undo`] behind a pointer.
pub(super) trait AnyUndo<S: Saga>: Send + Sync {
    fn undo<'a>(&'a self, saga: &'a S, state: &'a S::State, call: &'a Call) -> UndoFuture<'a, S>;
}

impl<S: Saga, T: Undo<S>> AnyUndo<S> for T {
    fn undo<'a>(&'a self, saga: &'a S, state: &'a S::State, call: &'a Call) -> UndoFuture<'a, S> {
        Box::pin(Undo::undo(self, saga, state, call))
    }
}

pub(super) struct UndoNode<S: Saga> {
    pub(super) name: &'static str,
    pub(super) span: &'static str,
    pub(super) work: Box<dyn AnyUndo<S>>,
}

impl<S: Saga> UndoNode<S> {
    fn new<U: Undo<S>>(undo: U) -> Self {
        UndoNode { name: U::NAME, span: U::SPAN, work: Box::new(undo) }
    }
}

/// A step with what undoes it. Made by [`step`].
pub struct Node<S: Saga> {
    pub(super) name: &'static str,
    pub(super) span: &'static str,
    pub(super) work: Box<dyn AnyStep<S>>,
    pub(super) undo: Option<UndoNode<S>>,
    pub(super) otherwise: Option<UndoNode<S>>,
}

/// A step of a [`Plan`](super::Plan), to be given its undo.
pub fn step<S: Saga, T: Step<S>>(step: T) -> Node<S> {
    Node { name: T::NAME, span: T::SPAN, work: Box::new(step), undo: None, otherwise: None }
}

impl<S: Saga> Node<S> {
    /// What takes the step back when the saga turns back. Only for steps before the pivot.
    #[must_use]
    pub fn undo(mut self, undo: impl Undo<S>) -> Self {
        self.undo = Some(UndoNode::new(undo));
        self
    }

    /// What makes up for the step when it is refused for good after the pivot: the money was taken and there is
    /// nothing to deliver, so it is given back. The saga then ends as not completed. Without it a refusal after
    /// the pivot parks the saga as stuck.
    #[must_use]
    pub fn otherwise(mut self, instead: impl Undo<S>) -> Self {
        self.otherwise = Some(UndoNode::new(instead));
        self
    }

    pub(super) fn shape(&self) -> StepShape {
        StepShape { name: self.name, has_undo: self.undo.is_some(), has_otherwise: self.otherwise.is_some() }
    }
}

/// What stands in a plan as a step: a bare [`Step`], or a [`Node`] that [`step`] made of one. The marker only tells
/// the two apart.
pub trait IntoNode<S: Saga, Marker> {
    /// The step with what undoes it, if anything does.
    fn into_node(self) -> Node<S>;
}

/// Marks a bare [`Step`].
#[derive(Debug)]
pub enum Bare {}

/// Marks a [`Node`].
#[derive(Debug)]
pub enum Made {}

impl<S: Saga, T: Step<S>> IntoNode<S, Bare> for T {
    fn into_node(self) -> Node<S> {
        step(self)
    }
}

impl<S: Saga> IntoNode<S, Made> for Node<S> {
    fn into_node(self) -> Node<S> {
        self
    }
}

impl<S: Saga> fmt::Debug for Node<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.name).finish()
    }
}
