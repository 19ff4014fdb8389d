//! The state machine against what its states mean, said over the whole course of verdicts at once.

use proptest::prelude::*;
use waypost_trace_alerts::{Phase, Timing, Turn, Verdict, step};

/// Verdicts with the times at which they were given.
type Course = Vec<(u64, Verdict)>;

fn course() -> impl Strategy<Value = Course> {
    let verdict = prop::sample::select(vec![
        Verdict::Beyond,
        Verdict::Beyond,
        Verdict::Between,
        Verdict::Within,
        Verdict::Unknown,
    ]);
    prop::collection::vec((0_u64..4, verdict), 1..60).prop_map(|steps| {
        let mut now = 100;
        let timed = steps.into_iter().map(|(passed, verdict)| {
            now += passed;
            (now, verdict)
        });
        timed.collect()
    })
}

/// Since when the verdict has been this one without a break at a place of the course; `None` when it is another one.
fn run_of(course: &Course, at: usize, verdict: Verdict) -> Option<u64> {
    let first = (0..=at).rev().take_while(|place| course[*place].1 == verdict).last()?;
    Some(course[first].0)
}

/// An alert fires when at some place a run of Beyond was long enough and nothing since then ended it.
fn fires(course: &Course, at: usize, timing: Timing) -> bool {
    let began = |place: usize| {
        run_of(course, place, Verdict::Beyond).is_some_and(|since| course[place].0 - since >= timing.hold)
    };
    let ended = |place: usize| {
        let is_forgotten = run_of(course, place, Verdict::Unknown)
            .is_some_and(|since| course[place].0 - since >= timing.forget);
        course[place].1 == Verdict::Within || is_forgotten
    };
    (0..=at).any(|place| began(place) && (place + 1..=at).all(|later| !ended(later)))
}

proptest! {
    #[test]
    fn states_are_what_the_course_of_verdicts_says(course in course(), hold in 0_u64..8, forget in 0_u64..8) {
        let timing = Timing { hold, forget };
        let (mut phase, mut was_firing) = (Phase::Inactive, false);
        for at in 0..course.len() {
            let (now, verdict) = course[at];
            let (next, turn) = step(phase, verdict, now, timing);
            let is_firing = fires(&course, at, timing);
            prop_assert_eq!(next.is_firing(), is_firing, "at {} of {:?}", at, &course[..=at]);
            let is_pending = !is_firing && verdict == Verdict::Beyond;
            prop_assert_eq!(matches!(next, Phase::Pending { .. }), is_pending);
            if is_pending {
                prop_assert_eq!(next.since(), run_of(&course, at, Verdict::Beyond));
            }
            // Exactly one turn for each change.
            prop_assert_eq!(turn == Some(Turn::Fired), is_firing && !was_firing);
            prop_assert_eq!(matches!(turn, Some(Turn::Resolved | Turn::Forgotten)), was_firing && !is_firing);
            (phase, was_firing) = (next, is_firing);
        }
    }
}

#[test]
fn a_clock_that_was_set_back_counts_as_no_time() {
    let timing = Timing { hold: 5, forget: 5 };
    let (phase, _) = step(Phase::Inactive, Verdict::Beyond, 100, timing);
    assert_eq!(step(phase, Verdict::Beyond, 50, timing), (Phase::Pending { since: 100 }, None));
    let firing = Phase::Firing { since: 100, fired: 105, unknown_since: Some(110) };
    assert_eq!(step(firing, Verdict::Unknown, 20, timing), (firing, None));
}
