use proptest::prelude::*;

use super::*;

const SHUT_FOR: Duration = Duration::from_secs(1);

fn settings() -> Settings {
    Settings {
        consecutive_failures: 3,
        window: Duration::from_secs(10),
        min_calls: 10,
        min_success_rate: 0.5,
        backoff: Backoff::new(SHUT_FOR, Duration::from_secs(8)),
    }
}

/// A circuit with a clock, so that a test reads as a story.
struct Story {
    circuit: Circuit,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        let now = Instant::now();
        Self { circuit: Circuit::new(settings(), now), now }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&mut self) -> Result<Ticket, Duration> {
        self.circuit.admit(self.now)
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        // The longest wait, so that the waits are round numbers.
        self.circuit.settle(ticket, outcome, self.now, &Random::fixed(1.0));
    }

    fn call(&mut self, outcome: Outcome) {
        let ticket = self.admit().unwrap();
        self.settle(ticket, outcome);
    }

    fn shut(&mut self) {
        for _ in 0..3 {
            self.call(Outcome::Failure);
        }
        assert_eq!(self.circuit.state(), State::Shut);
    }
}

#[test]
fn failures_in_a_row_shut_it_and_a_success_between_them_does_not() {
    let mut story = Story::new();
    for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure, Outcome::Failure]
    {
        story.call(outcome);
    }
    assert_eq!(story.circuit.state(), State::Open);
    story.call(Outcome::Failure);
    assert_eq!(story.admit().unwrap_err(), SHUT_FOR);
}

#[test]
fn what_fails_many_calls_together_counts_once() {
    let mut story = Story::new();
    for _ in 0..2 {
        let together: Vec<Ticket> = (0..64).map(|_| story.admit().unwrap()).collect();
        story.wait(Duration::from_millis(5));
        for ticket in together {
            story.settle(ticket, Outcome::Failure);
        }
        story.wait(Duration::from_millis(5));
    }
    assert_eq!(story.circuit.state(), State::Open);
    // The third cause.
    story.call(Outcome::Failure);
    assert_eq!(story.circuit.state(), State::Shut);
}

#[test]
fn calls_that_wait_in_vain_one_after_the_other_shut_it_although_they_began_together() {
    let mut story = Story::new();
    let together: Vec<Ticket> = (0..3).map(|_| story.admit().unwrap()).collect();
    for ticket in together {
        assert_eq!(story.circuit.state(), State::Open);
        story.wait(SAME_CAUSE);
        story.settle(ticket, Outcome::Failure);
    }
    assert_eq!(story.circuit.state(), State::Shut);
}

#[test]
fn a_low_share_of_successes_shuts_it_without_failures_in_a_row() {
    let mut story = Story::new();
    for _ in 0..3 {
        story.call(Outcome::Failure);
        story.call(Outcome::Failure);
        story.call(Outcome::Success);
    }
    // Nine calls say nothing yet; the tenth makes it 3 successes of 10.
    assert_eq!(story.circuit.state(), State::Open);
    story.call(Outcome::Failure);
    assert_eq!(story.circuit.state(), State::Shut);
}

#[test]
fn failures_older_than_the_window_do_not_count() {
    let mut story = Story::new();
    for _ in 0..4 {
        story.call(Outcome::Failure);
        story.call(Outcome::Failure);
        story.call(Outcome::Success);
        story.wait(Duration::from_secs(4));
    }
    assert_eq!(story.circuit.state(), State::Open);
}

#[test]
fn one_probe_at_a_time_goes_through_after_the_wait() {
    let mut story = Story::new();
    story.shut();
    story.wait(Duration::from_millis(999));
    assert_eq!(story.admit().unwrap_err(), Duration::from_millis(1));
    story.wait(Duration::from_millis(1));
    let probe = story.admit().unwrap();
    assert!(probe.is_probe());
    story.admit().unwrap_err();
    story.settle(probe, Outcome::Success);
    assert!(!story.admit().unwrap().is_probe());
}

#[test]
fn every_failed_probe_doubles_the_wait_up_to_the_maximum() {
    for outcome in [Outcome::Failure, Outcome::Overloaded] {
        let mut story = Story::new();
        story.shut();
        for seconds in [1, 2, 4, 8, 8] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(story.admit().unwrap_err(), wait);
            story.wait(wait);
            story.call(outcome);
        }
    }
}

#[test]
fn a_probe_that_its_caller_gave_up_lets_the_next_call_probe() {
    let mut story = Story::new();
    story.shut();
    story.wait(SHUT_FOR);
    story.call(Outcome::Abandoned);
    assert!(story.admit().unwrap().is_probe());
}

#[test]
fn a_late_result_of_an_earlier_time_changes_nothing() {
    let mut story = Story::new();
    let early = story.admit().unwrap();
    let also_early = story.admit().unwrap();
    story.shut();
    story.settle(early, Outcome::Success);
    assert_eq!(story.circuit.state(), State::Shut);
    story.wait(SHUT_FOR);
    story.call(Outcome::Success);
    story.settle(also_early, Outcome::Failure);
    assert_eq!(story.circuit.state(), State::Open);
}

#[test]
fn a_caller_that_gives_up_or_is_told_to_slow_down_does_not_shut_it() {
    let mut story = Story::new();
    for _ in 0..100 {
        story.call(Outcome::Abandoned);
        story.call(Outcome::Overloaded);
    }
    assert_eq!(story.circuit.state(), State::Open);
}

#[test]
fn after_it_opened_again_the_old_failures_are_forgotten() {
    let mut story = Story::new();
    story.shut();
    story.wait(SHUT_FOR);
    story.call(Outcome::Success);
    story.call(Outcome::Failure);
    story.call(Outcome::Failure);
    assert_eq!(story.circuit.state(), State::Open);
}

proptest! {
    /// Whatever happens in whatever order: at most one probe is out, and it always opens again in the end.
    #[test]
    fn it_never_probes_twice_at_once_and_never_stays_shut(
        steps in prop::collection::vec((0_u8..6, 0_u64..3000), 1..200),
    ) {
        let mut story = Story::new();
        let mut out: Vec<Ticket> = Vec::new();
        for (step, millis) in steps {
            story.wait(Duration::from_millis(millis));
            let outcome = match step {
                0 => Some(Outcome::Success),
                1 => Some(Outcome::Failure),
                2 => Some(Outcome::Overloaded),
                3 => Some(Outcome::Abandoned),
                _ => None,
            };
            match outcome {
                Some(outcome) if !out.is_empty() => {
                    let ticket = out.remove(usize::try_from(millis).unwrap() % out.len());
                    story.settle(ticket, outcome);
                }
                _ => out.extend(story.admit()),
            }
            let generation = story.circuit.generation;
            let probes = out.iter().filter(|ticket| ticket.is_probe && ticket.generation == generation).count();
            prop_assert!(probes <= 1);
            prop_assert_eq!(probes == 1, story.circuit.state() == State::Probing);
        }
        for ticket in out {
            story.settle(ticket, Outcome::Abandoned);
        }
        story.wait(Duration::from_secs(8));
        story.call(Outcome::Success);
        prop_assert_eq!(story.circuit.state(), State::Open);
    }
}
