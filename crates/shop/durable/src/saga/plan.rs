//! What a saga consists of: the list of its steps, and the traits that steps implement.

use super::{
    Ending, PlanError,
    decide::{Shape, StageShape, StepShape},
};
use crate::Epoch;
use futures_util::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::HashSet, error::Error as StdError, fmt, future::Future, sync::Arc, time::Duration};
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

/// One try of one step or undo.
#[derive(Debug, Clone)]
pub struct Call {
    saga: Arc<str>,
    name: &'static str,
    attempt: u32,
    epoch: Epoch,
}

impl Call {
    /// The generation of a step's only run. Higher ones are for a step that has to be done anew under another key.
    pub const FIRST_GENERATION: u32 = 1;

    pub(super) fn new(saga: Arc<str>, name: &'static str, attempt: u32, epoch: Epoch) -> Call {
        Call { saga, name, attempt, epoch }
    }

    /// The key to send with the call: `saga:step:generation`. The same for every repetition, also after a crash,
    /// so that the other side can tell a repetition from a new wish.
    pub fn key(&self) -> String {
        self.key_of(self.name, Self::FIRST_GENERATION)
    }

    /// The key of another generation, for doing a step of this saga anew (a hold that ran out is taken again).
    pub fn key_of(&self, step: &str, generation: u32) -> String {
        format!("{}:{step}:{generation}", self.saga)
    }

    /// The epoch of the runner that makes the call. Sent with it, so that the other side refuses a runner that was
    /// replaced ([`Failure::Fenced`]).
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// 1 for the first try of this round.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Why a try of a step or an undo did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<R> {
    /// The other side itself said no, and this try did nothing. Not repeated. What it tells of the step depends on the
    /// tries before it: when one of them is open, the step may have been done all the same, so it is undone.
    Refused(R),
    /// The other side said no, and it was made sure that it stays at that: neither the step nor one that follows it has
    /// or will have an effect, but for such as the undos of the steps before it take back. From the pivot on, only this
    /// counts when an earlier try is open.
    RefusedForGood(R),
    /// The try may or may not have had its effect, now or later: repeated with the same key.
    Unknown(R),
    /// The other side answered what its contract does not allow, as one of another version may. The try may have had its
    /// effect, and trying again at once would tell no more: the round ends here.
    Malformed(R),
    /// The other side has seen a runner of a later epoch: this one was replaced, and stops without another word. The try
    /// had no effect and will have none.
    Fenced(R),
    /// The try did not leave this process. It is made again after a while and not counted.
    NotSent {
        /// Why.
        reason: R,
        /// How long to wait at least.
        retry_in: Duration,
    },
}

impl<R> Failure<R> {
    /// The reason, whichever kind it is.
    pub fn reason(&self) -> &R {
        match self {
            Failure::Refused(reason)
            | Failure::RefusedForGood(reason)
            | Failure::Unknown(reason)
            | Failure::Malformed(reason)
            | Failure::Fenced(reason)
            | Failure::NotSent { reason, .. } => reason,
        }
    }

    /// The reason alone.
    pub fn into_reason(self) -> R {
        match self {
            Failure::Refused(reason)
            | Failure::RefusedForGood(reason)
            | Failure::Unknown(reason)
            | Failure::Malformed(reason)
            | Failure::Fenced(reason)
            | Failure::NotSent { reason, .. } => reason,
        }
    }
}

impl<R: fmt::Display> fmt::Display for Failure<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

/// Transparent: what is below the reason is below the failure.
impl<R: StdError> StdError for Failure<R> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.reason().source()
    }
}

impl<R: ErrorType> ErrorType for Failure<R> {
    fn inner(&self) -> Option<&dyn ErrorType> {
        Some(self.reason())
    }
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

/// A step of a [`Plan`], to be given its undo.
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

    fn shape(&self) -> StepShape {
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

/// Names of the spans that belong to no step.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// Around everything that is undone.
    pub compensate: &'static str,
    /// Around the last unit of a saga that turned back because of a step.
    pub fail: &'static str,
    /// Around the last unit of a saga that turned back because it was asked to.
    pub cancel: &'static str,
}

impl Default for Spans {
    fn default() -> Self {
        Spans { compensate: "compensate", fail: "fail", cancel: "cancel" }
    }
}

#[derive(Debug)]
enum Stage<S: Saga> {
    Remote { steps: Vec<Node<S>>, is_pivot: bool },
    Local { name: &'static str, span: &'static str },
}

/// A saga as one list. Made by [`saga`]; see the module for an example.
#[derive(Debug)]
pub struct Plan<S: Saga> {
    name: &'static str,
    stages: Vec<Stage<S>>,
    spans: Spans,
}

/// An empty plan.
pub fn saga<S: Saga>(name: &'static str) -> Plan<S> {
    Plan { name, stages: Vec::new(), spans: Spans::default() }
}

impl<S: Saga> Plan<S> {
    /// Then these, side by side. All are waited for, also when one is refused.
    #[must_use]
    pub fn together<const N: usize>(self, steps: [Node<S>; N]) -> Self {
        self.then(Stage::Remote { steps: steps.into(), is_pivot: false })
    }

    /// Then this one.
    #[must_use]
    pub fn step<Marker>(self, step: impl IntoNode<S, Marker>) -> Self {
        self.then(Stage::Remote { steps: vec![step.into_node()], is_pivot: false })
    }

    /// Then this one, and from its intent on there is no way back, unless it is refused: at the first try, or for good.
    #[must_use]
    pub fn pivot<Marker>(self, step: impl IntoNode<S, Marker>) -> Self {
        self.then(Stage::Remote { steps: vec![step.into_node()], is_pivot: true })
    }

    /// Then this change of the own state, in the next unit that is written.
    #[must_use]
    pub fn local<L: Local<S>>(self, _step: L) -> Self {
        self.then(Stage::Local { name: L::NAME, span: L::SPAN })
    }

    /// Names the spans that belong to no step.
    #[must_use]
    pub fn spans(mut self, spans: Spans) -> Self {
        self.spans = spans;
        self
    }

    /// The saga's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Refuses a plan that cannot work, saying why. [`super::Runner::new`] does it too.
    pub fn check(&self) -> Result<(), PlanError> {
        let mut names = HashSet::new();
        let mut pivot_seen = false;
        for stage in &self.stages {
            let (steps, is_pivot) = match stage {
                Stage::Local { name, .. } => {
                    if !names.insert(*name) {
                        return Err(PlanError::NameTwice(name));
                    }
                    continue;
                }
                Stage::Remote { steps, is_pivot } => (steps, *is_pivot),
            };
            if is_pivot && pivot_seen {
                return Err(PlanError::TwoPivots);
            }
            for node in steps {
                let undo_names = node.undo.iter().chain(&node.otherwise).map(|undo| undo.name);
                for name in std::iter::once(node.name).chain(undo_names) {
                    if !names.insert(name) {
                        return Err(PlanError::NameTwice(name));
                    }
                }
                if node.undo.is_some() && (is_pivot || pivot_seen) {
                    return Err(PlanError::UndoAfterPivot(node.name));
                }
                if node.otherwise.is_some() && !pivot_seen {
                    return Err(PlanError::OtherwiseBeforePivot(node.name));
                }
            }
            pivot_seen |= is_pivot;
        }
        Ok(())
    }

    /// The plan without its code, for [`super::decide`].
    pub fn shape(&self) -> Shape {
        let stage = |stage: &Stage<S>| match stage {
            Stage::Local { name, .. } => StageShape::Local(name),
            Stage::Remote { steps, is_pivot } => {
                StageShape::Remote { steps: steps.iter().map(Node::shape).collect(), is_pivot: *is_pivot }
            }
        };
        Shape::new(self.stages.iter().map(stage).collect())
    }

    pub(super) fn span_names(&self) -> &Spans {
        &self.spans
    }

    pub(super) fn node(&self, name: &str) -> Option<&Node<S>> {
        self.stages.iter().find_map(|stage| match stage {
            Stage::Remote { steps, .. } => steps.iter().find(|node| node.name == name),
            Stage::Local { .. } => None,
        })
    }

    /// The span around a unit: that of the saga's end, else of the last local step that it does.
    pub(super) fn unit_span(
        &self,
        ending: Option<&Ending<S::Reason>>,
        locals: &[&'static str],
    ) -> Option<&'static str> {
        match ending {
            Some(Ending::Failed(_)) => Some(self.spans.fail),
            Some(Ending::Cancelled) => Some(self.spans.cancel),
            Some(Ending::Completed) | None => locals.last().and_then(|name| self.local_span(name)),
        }
    }

    fn local_span(&self, name: &str) -> Option<&'static str> {
        self.stages.iter().find_map(|stage| match stage {
            Stage::Local { name: local, span } if *local == name => Some(*span),
            _ => None,
        })
    }

    fn then(mut self, stage: Stage<S>) -> Self {
        self.stages.push(stage);
        self
    }
}
