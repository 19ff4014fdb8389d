//! What a saga has to do next: a pure function of its plan and its journal, without IO, clock or chance.
//!
//! Everything the runner does follows from here, so a crash can be tested at every point by forgetting what was
//! not durable and asking again.

use super::{Ending, Entry, Phase};

/// A plan without its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    stages: Vec<StageShape>,
}

/// A stage of a [`Shape`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageShape {
    /// A change of the own state, carried by a unit of the journal.
    Local(&'static str),
    /// Steps that run side by side.
    Remote {
        /// The steps.
        steps: Vec<StepShape>,
        /// Whether there is no way back from here on.
        is_pivot: bool,
    },
}

/// A step of a [`StageShape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepShape {
    /// Its name.
    pub name: &'static str,
    /// Whether something takes it back.
    pub has_undo: bool,
    /// Whether something makes up for its refusal.
    pub has_otherwise: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Write one unit: what is pending, then these; then ask again.
    Commit {
        /// Local steps that are done by this unit.
        locals: Vec<&'static str>,
        /// Steps that may run once it is written.
        intents: Vec<&'static str>,
        /// Set when nothing is left to do after it.
        ending: Option<Direction>,
    },
    /// Run these side by side; their intents are durable.
    Run(Vec<&'static str>),
    /// Undo this step.
    Undo(&'static str),
    /// Make up for this refused step.
    MakeUp(&'static str),
    /// Nothing until the saga is resumed.
    Park,
    /// Nothing ever again.
    Finished,
}

/// Which way a saga ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// With every step done.
    Forward,
    /// Turned back.
    Back,
}

/// How a round of tries of one step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoundEnd<O, R> {
    /// It was done.
    Done(O),
    /// The last try was refused.
    Refused(R),
    /// It was refused, and no earlier try can have an effect any more.
    RefusedForGood(R),
    /// No further try is to be made.
    Spent(R),
    /// Not known, and not to be tried again now.
    LeftOpen,
}

/// Says what to do next, from what is durable and what is known but not durable yet.
pub fn decide<O, R>(shape: &Shape, durable: &[Entry<O, R>], pending: &[Entry<O, R>]) -> Next {
    let view = shape.view(durable, pending);
    if view.ended() {
        return Next::Finished;
    }
    if view.is_stuck() {
        let is_known_to_all = !pending.iter().any(|entry| matches!(entry, Entry::Stuck(..)));
        return if is_known_to_all { Next::Park } else { Next::commit() };
    }
    match view.turned() {
        Some(turned) => view.back(&turned),
        None => view.forward(),
    }
}

impl Next {
    /// A unit of what is pending alone.
    fn commit() -> Next {
        Next::Commit { locals: Vec::new(), intents: Vec::new(), ending: None }
    }
}

impl Shape {
    pub(super) fn new(stages: Vec<StageShape>) -> Shape {
        Shape { stages }
    }

    pub(super) fn view<'a, O, R>(
        &'a self,
        durable: &'a [Entry<O, R>],
        pending: &'a [Entry<O, R>],
    ) -> View<'a, O, R> {
        View { shape: self, durable, pending }
    }

    /// The first entries of a saga that nothing has been done for: the intents of its first steps. The unit that
    /// creates the state writes them, so that a saga begins with no unit of its own.
    pub fn opening<O, R>(&self) -> Vec<Entry<O, R>> {
        match decide::<O, R>(self, &[], &[]) {
            Next::Commit { locals, intents, .. } => locals
                .into_iter()
                .map(|name| Entry::Done(name.into(), None))
                .chain(intents.into_iter().map(|name| Entry::Intended(name.into())))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// True when a journal's name is a step of this plan.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.stages.iter().any(|stage| match stage {
            StageShape::Local(local) => *local == name,
            StageShape::Remote { steps, .. } => steps.iter().any(|step| step.name == name),
        })
    }

    fn step(&self, name: &str) -> Option<&StepShape> {
        self.stages.iter().find_map(|stage| match stage {
            StageShape::Local(_) => None,
            StageShape::Remote { steps, .. } => steps.iter().find(|step| step.name == name),
        })
    }

    fn pivot(&self) -> Option<&'static str> {
        self.stages.iter().find_map(|stage| match stage {
            StageShape::Remote { steps, is_pivot: true } => steps.first().map(|step| step.name),
            _ => None,
        })
    }

    /// True when the step may be given up and undone because its outcome stays unknown: it stands before the
    /// pivot. From the pivot on an unknown outcome can only be repeated.
    pub(super) fn may_be_given_up(&self, name: &str) -> bool {
        for stage in &self.stages {
            let StageShape::Remote { steps, is_pivot } = stage else { continue };
            if *is_pivot {
                return false;
            }
            if steps.iter().any(|step| step.name == name) {
                return true;
            }
        }
        false
    }

    /// The fact that a round of tries leaves, if it leaves one; else the step is tried again. `is_open` says that a try
    /// of the step may have had its effect, or may still have it.
    pub(super) fn fact<O, R>(
        &self,
        name: &'static str,
        end: RoundEnd<O, R>,
        is_open: bool,
    ) -> Option<Entry<O, R>> {
        match end {
            RoundEnd::Done(output) => Some(Entry::Done(name.into(), Some(output))),
            // From the pivot on there is no undo for what may have been done, here or in the steps that follow.
            RoundEnd::Refused(reason) if is_open => {
                self.may_be_given_up(name).then(|| Entry::GivenUp(name.into(), reason))
            }
            RoundEnd::Refused(reason) | RoundEnd::RefusedForGood(reason) => {
                let turns = self.refusal_turns(name);
                Some(if turns {
                    Entry::Refused(name.into(), reason)
                } else {
                    Entry::Stuck(name.into(), reason)
                })
            }
            RoundEnd::Spent(reason) if self.may_be_given_up(name) => {
                // What was never sent needs no undo.
                let fact = if is_open { Entry::GivenUp } else { Entry::Refused };
                Some(fact(name.into(), reason))
            }
            RoundEnd::Spent(_) | RoundEnd::LeftOpen => None,
        }
    }

    /// True when a refusal of the step turns the saga back: it stands at or before the pivot, or something makes
    /// up for it. Otherwise a refusal parks the saga.
    pub(super) fn refusal_turns(&self, name: &str) -> bool {
        self.may_be_given_up(name)
            || self.pivot() == Some(name)
            || self.step(name).is_some_and(|step| step.has_otherwise)
    }
}

/// The facts of one saga against its plan.
pub(super) struct View<'a, O, R> {
    shape: &'a Shape,
    durable: &'a [Entry<O, R>],
    pending: &'a [Entry<O, R>],
}

/// Why a saga turned back.
struct Turned<'a, O, R> {
    cause: &'a Entry<O, R>,
    is_durable: bool,
}

impl<'a, O, R> View<'a, O, R> {
    pub(super) fn phase(&self) -> Phase {
        let pivot = self.shape.pivot();
        let is_pivot_intent =
            |entry: &Entry<O, R>| matches!(entry, Entry::Intended(step) if pivot == Some(step.as_ref()));
        if self.facts().any(|entry| matches!(entry, Entry::Ended)) {
            Phase::Ended
        } else if self.is_stuck() {
            Phase::Stuck
        } else if self.turned().is_some() {
            Phase::Back
        } else if self.facts().any(is_pivot_intent) {
            Phase::Committed
        } else {
            Phase::Forward
        }
    }

    /// How the saga ends if it ends now; the reason is that of the first fact that turned it.
    pub(super) fn ending(&self) -> Ending<R>
    where
        R: Clone,
    {
        match self.turned().map(|turned| turned.cause) {
            None => Ending::Completed,
            Some(Entry::Refused(_, reason) | Entry::GivenUp(_, reason)) => Ending::Failed(reason.clone()),
            Some(_) => Ending::Cancelled,
        }
    }

    pub(super) fn has_turned(&self) -> bool {
        self.turned().is_some()
    }

    fn facts(&self) -> impl DoubleEndedIterator<Item = &'a Entry<O, R>> {
        self.durable.iter().chain(self.pending)
    }

    fn ended(&self) -> bool {
        self.durable.iter().any(|entry| matches!(entry, Entry::Ended))
    }

    /// True when a runner before this one may have tried the step: it was intended before the saga was resumed.
    pub(super) fn may_have_been_tried(&self, name: &str) -> bool {
        let resumed = self.durable.iter().rposition(|entry| matches!(entry, Entry::Resumed));
        let intended =
            self.durable.iter().position(|entry| matches!(entry, Entry::Intended(step) if step == name));
        intended.zip(resumed).is_some_and(|(intended, resumed)| intended < resumed)
    }

    /// Stuck and not resumed since.
    fn is_stuck(&self) -> bool {
        let last = self.facts().rev().find(|entry| matches!(entry, Entry::Stuck(..) | Entry::Resumed));
        matches!(last, Some(Entry::Stuck(..)))
    }

    fn intended(&self, name: &str) -> bool {
        self.durable.iter().any(|entry| matches!(entry, Entry::Intended(step) if step == name))
    }

    fn done(&self, name: &str) -> bool {
        self.facts().any(|entry| matches!(entry, Entry::Done(step, _) if step == name))
    }

    fn needs_undo(&self, name: &str) -> bool {
        let settled = |entry: &Entry<O, R>| match entry {
            Entry::Refused(step, _) | Entry::Undone(step) => step == name,
            _ => false,
        };
        self.shape.step(name).is_some_and(|step| step.has_undo) && !self.facts().any(settled)
    }

    /// The first fact that turned the saga. A request to cancel counts only when it came before the intent of the
    /// pivot; the journal does not take a later one.
    fn turned(&self) -> Option<Turned<'a, O, R>> {
        let pivot = self.shape.pivot();
        let mut is_committed = false;
        for (index, entry) in self.facts().enumerate() {
            let turns = match entry {
                Entry::Refused(..) | Entry::GivenUp(..) => true,
                Entry::CancelRequested => !is_committed,
                _ => false,
            };
            if turns {
                return Some(Turned { cause: entry, is_durable: index < self.durable.len() });
            }
            is_committed |= matches!(entry, Entry::Intended(step) if pivot == Some(step.as_ref()));
        }
        None
    }

    fn back(&self, turned: &Turned<'a, O, R>) -> Next {
        // The turn is durable before the first undo, or a crash could run forward what was undone.
        if !turned.is_durable {
            return Next::commit();
        }
        let ending = Next::Commit { locals: Vec::new(), intents: Vec::new(), ending: Some(Direction::Back) };
        // After the pivot nothing is undone; the refused step is made up for.
        if let Entry::Refused(name, _) = turned.cause
            && let Some(step) = self.shape.step(name)
            && step.has_otherwise
        {
            let is_made_up =
                self.facts().any(|entry| matches!(entry, Entry::MadeUp(made_up) if made_up == name));
            return if is_made_up { ending } else { Next::MakeUp(step.name) };
        }
        let undo = self.durable.iter().rev().find_map(|entry| match entry {
            Entry::Intended(name) if self.needs_undo(name) => self.shape.step(name).map(|step| step.name),
            _ => None,
        });
        undo.map_or(ending, Next::Undo)
    }

    fn forward(&self) -> Next {
        let mut locals = Vec::new();
        let mut is_committed = false;
        for (index, stage) in self.shape.stages.iter().enumerate() {
            match stage {
                StageShape::Local(name) if !self.done(name) => locals.push(*name),
                StageShape::Local(_) => {}
                StageShape::Remote { steps, is_pivot } => {
                    is_committed |= is_pivot;
                    let open: Vec<_> =
                        steps.iter().map(|step| step.name).filter(|name| !self.done(name)).collect();
                    if open.is_empty() {
                        continue;
                    }
                    let mut intents: Vec<_> =
                        open.iter().copied().filter(|name| !self.intended(name)).collect();
                    if locals.is_empty() && intents.is_empty() {
                        return Next::Run(open);
                    }
                    if is_committed {
                        intents.extend(self.intents_ahead(index + 1));
                    }
                    return Next::Commit { locals, intents, ending: None };
                }
            }
        }
        Next::Commit { locals, intents: Vec::new(), ending: Some(Direction::Forward) }
    }

    /// From the pivot on nothing is undone, so a step may be intended long before it runs: all up to the next
    /// local step share one unit.
    fn intents_ahead(&self, from: usize) -> impl Iterator<Item = &'static str> {
        self.shape
            .stages
            .iter()
            .skip(from)
            .map_while(|stage| match stage {
                StageShape::Local(_) => None,
                StageShape::Remote { steps, .. } => Some(steps),
            })
            .flatten()
            .map(|step| step.name)
            .filter(|name| !self.intended(name))
    }
}
