//! Which step took longest, and where in it the time went.

use super::{Kind, Trace, took};

/// The slowest step as a sentence, if the trace has steps.
pub(crate) fn slowest(trace: &Trace) -> Option<String> {
    let step = slowest_index(trace)?;
    let span = &trace.spans[step];
    let total = trace.root().map(super::Span::duration).filter(|total| *total > 0)?;
    let share = span.duration().saturating_mul(100) / total;
    let sentence = format!("{} took {} of {} ({share} %)", span.name, took(span.duration()), took(total));
    let (busiest, own) = busiest_below(trace, step);
    if busiest == step {
        return Some(sentence);
    }
    let inner = &trace.spans[busiest];
    Some(format!("{sentence}; {} of that in {} at {}", took(own), inner.name, inner.service))
}

/// The longest of the steps: the innermost INTERNAL spans that are a step of the order, not what holds steps.
pub(super) fn slowest_index(trace: &Trace) -> Option<usize> {
    let is_step = |index: &usize| {
        trace.spans[*index].kind == Kind::Internal
            && !trace.children[*index].iter().any(|child| is_internal(trace, *child))
    };
    let outermost = |index: &usize| !has_step_above(trace, *index, &is_step);
    (0..trace.len()).filter(is_step).filter(outermost).max_by_key(|index| trace.spans[*index].duration())
}

fn is_internal(trace: &Trace, index: usize) -> bool {
    trace.spans[index].kind == Kind::Internal
}

/// `authorize-payment` inside `process-payment` is a part of a step, not a step.
fn has_step_above(trace: &Trace, index: usize, is_step: &impl Fn(&usize) -> bool) -> bool {
    let mut below = index;
    while let Some(parent) = (0..trace.len()).find(|candidate| trace.children[*candidate].contains(&below)) {
        if is_step(&parent) {
            return true;
        }
        below = parent;
    }
    false
}

/// The span at or below `index` with the most time of its own (not covered by its children), and that time.
fn busiest_below(trace: &Trace, index: usize) -> (usize, u64) {
    let own = (index, own_time(trace, index));
    let below = trace.children[index].iter().map(|child| busiest_below(trace, *child));
    below.fold(own, |best, candidate| if candidate.1 > best.1 { candidate } else { best })
}

/// Time of a span that none of its children covers. Children may overlap each other and outlive their parent.
fn own_time(trace: &Trace, index: usize) -> u64 {
    let span = &trace.spans[index];
    let mut covered = 0;
    let mut reached = span.start;
    for child in &trace.children[index] {
        let child = &trace.spans[*child];
        let end = child.end.min(span.end);
        covered += end.saturating_sub(child.start.max(reached));
        reached = reached.max(end);
    }
    span.duration().saturating_sub(covered)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn the_slowest_step_is_named_with_its_share_and_where_its_time_went() {
        let trace = Trace::of(&fixture::completed(), fixture::TRACE);
        assert_eq!(
            slowest(&trace).unwrap(),
            "process-payment took 30.0 ms of 90.0 ms (33 %); 18.0 ms of that in POST /v1/charges at payment-provider"
        );
    }

    #[test]
    fn time_that_two_children_share_is_counted_once() {
        let mut spans = fixture::out_of_stock();
        // Both children of create-order now cover its milliseconds 3 to 10.
        for span in &mut spans {
            if span.parent_id.as_deref() == Some("create-order") {
                span.start = fixture::BEGIN + 5_000_000;
                span.end = fixture::BEGIN + 12_000_000;
            }
        }
        let trace = Trace::of(&spans, fixture::TRACE);
        let create = trace.spans.iter().position(|span| span.name == "create-order").unwrap();
        assert_eq!(own_time(&trace, create), 13_000_000);
    }

    #[test]
    fn a_trace_without_steps_has_no_slowest_one() {
        assert_eq!(slowest(&Trace::of(&[], fixture::TRACE)), None);
    }
}
