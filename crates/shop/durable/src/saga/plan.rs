//! A saga as one list of steps: what may stand where, and what its spans are called.

use super::{
    Ending, IntoNode, Local, Node, PlanError, Saga,
    decide::{Shape, StageShape},
};
use std::collections::HashSet;

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
