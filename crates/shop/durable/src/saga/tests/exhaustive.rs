//! Every course that an order can take, with a crash at every point: each choice (how a try goes, whether the process
//! dies before or after a write, when a cancel comes in, when what was sent long ago arrives) is tried in turn.
//!
//! The other services may refuse at any time, also a step that they have done; and a try without an answer may have its
//! effect at any later time, also after the end. What they promise is what the real ones do: what was undone, or
//! refused for good, has no effect any more when it arrives.

use super::{super::decide::RoundEnd, *};
use std::collections::BTreeSet;

type Fact = Entry<(), Reason>;

/// Plays one course after another: replays the choices of the last course with the last open one advanced.
#[derive(Default)]
struct Choices {
    course: Vec<(usize, usize)>,
    position: usize,
}

impl Choices {
    fn one_of(&mut self, options: usize) -> usize {
        if self.position == self.course.len() {
            self.course.push((0, options));
        }
        let (choice, known_options) = self.course[self.position];
        assert_eq!(known_options, options, "the course must be reproducible");
        self.position += 1;
        choice
    }

    fn next_course(&mut self) -> bool {
        self.position = 0;
        while let Some((choice, options)) = self.course.pop() {
            if choice + 1 < options {
                self.course.push((choice + 1, options));
                return true;
            }
        }
        false
    }
}

/// How much may go wrong in one course, so that there is an end to the courses.
#[derive(Clone, Copy)]
struct Trouble {
    crashes: usize,
    unknowns: usize,
    refusals: usize,
    cancels: usize,
    stuck: usize,
}

/// What the other services really did: steps that have their effect now, and undos that were carried out.
#[derive(Debug, Default)]
struct World {
    done: BTreeSet<&'static str>,
    /// Tries that are still under way.
    late: Vec<&'static str>,
}

impl World {
    fn has(&self, name: &str) -> bool {
        self.done.contains(name)
    }

    /// Whether the other side will not do the step any more.
    fn forbids(&self, step: &str) -> bool {
        let forbidden_by: &[&str] = match step {
            "reserve" => &["release"],
            "authorize" | "capture" => &["void", "refund"],
            _ => &["release", "for good"],
        };
        forbidden_by.iter().any(|undo| self.has(undo))
    }

    /// A try arrives.
    fn apply(&mut self, step: &'static str) {
        if self.forbids(step) {
            return;
        }
        let before: &[&str] = match step {
            "capture" => &["reserve", "authorize"],
            "commit-stock" => &["capture"],
            _ => &[],
        };
        assert!(before.iter().all(|earlier| self.has(earlier)), "{step} ran too early: {self:?}");
        self.done.insert(step);
    }

    /// A void gives back what was taken, if it was taken.
    fn undo(&mut self, step: &str) {
        self.done.remove(step);
        if step == "authorize" {
            self.done.remove("capture");
            self.done.insert("void");
        } else {
            assert!(!self.has("authorize"), "undone out of order: {self:?}");
            assert!(!self.has("commit-stock"), "released what was delivered: {self:?}");
            self.done.insert("release");
        }
    }

    fn let_one_arrive(&mut self, choices: &mut Choices) {
        if !self.late.is_empty() && choices.one_of(2) == 1 {
            let late = self.late.remove(0);
            self.apply(late);
        }
    }
}

fn place_order(is_parallel: bool) -> Shape {
    let step = |name, has_undo, has_otherwise| StepShape { name, has_undo, has_otherwise };
    let remote = |steps: &[StepShape], is_pivot| StageShape::Remote { steps: steps.to_vec(), is_pivot };
    let reserve = step("reserve", true, false);
    let authorize = step("authorize", true, false);
    let mut stages = if is_parallel {
        vec![remote(&[reserve, authorize], false)]
    } else {
        vec![remote(&[reserve], false), remote(&[authorize], false)]
    };
    stages.extend([
        StageShape::Local("confirm"),
        remote(&[step("capture", false, false)], true),
        remote(&[step("commit-stock", false, true)], false),
        StageShape::Local("complete"),
    ]);
    Shape::new(stages)
}

/// Plays one course to its end and returns how the saga ended.
fn play(shape: &Shape, choices: &mut Choices, mut left: Trouble) -> Ending<Reason> {
    let mut world = World::default();
    let mut durable: Vec<Fact> = shape.opening();
    let mut pending: Vec<Fact> = Vec::new();
    let mut tried: BTreeSet<&'static str> = BTreeSet::new();
    let mut units = 0;
    for _ in 0..60 {
        if left.crashes > 0 && choices.one_of(2) == 1 {
            left.crashes -= 1;
            pending.clear();
            tried.clear();
            durable.push(Entry::Resumed);
        }
        world.let_one_arrive(choices);
        match decide(shape, &durable, &pending) {
            Next::Finished => {
                for late in std::mem::take(&mut world.late) {
                    world.apply(late);
                }
                check_the_end(shape, &world, &durable);
                return shape.view(&durable, &[]).ending();
            }
            Next::Park => durable.push(Entry::Resumed),
            Next::Commit { locals, intents, ending } => {
                if left.cancels > 0 && choices.one_of(2) == 1 {
                    left.cancels -= 1;
                    // The guard that every store has: a cancel only before the pivot's intent.
                    if phase(shape, &durable) == Phase::Forward {
                        durable.push(Entry::CancelRequested);
                        continue; // the fence: the runner's write is refused, it reads anew
                    }
                }
                units += 1;
                durable.append(&mut pending);
                durable.extend(locals.into_iter().map(|name| Entry::Done(name.into(), None)));
                durable.extend(intents.into_iter().map(|name| Entry::Intended(name.into())));
                if ending.is_some() {
                    durable.push(Entry::Ended);
                }
            }
            Next::Run(steps) => {
                for name in steps {
                    assert!(
                        durable.contains(&Entry::Intended(name.into())),
                        "{name} ran before its intent was durable"
                    );
                    let (end, is_unknown) = run(shape, choices, &mut left, &mut world, name);
                    if is_unknown {
                        tried.insert(name);
                    }
                    let is_open =
                        tried.contains(name) || shape.view(&durable, &pending).may_have_been_tried(name);
                    pending.extend(shape.fact(name, end, is_open));
                }
            }
            Next::Undo(name) => {
                assert_eq!(phase(shape, &durable), Phase::Back, "undone before the turn was durable");
                if left.stuck > 0 && choices.one_of(2) == 1 {
                    left.stuck -= 1;
                    pending.push(Entry::Stuck(name.into(), because("stuck")));
                } else {
                    world.undo(name);
                    pending.push(Entry::Undone(name.into()));
                }
            }
            Next::MakeUp(name) => {
                assert!(world.has("capture") && !world.has("commit-stock"), "{world:?}");
                world.done.insert("refund");
                pending.push(Entry::MadeUp(name.into()));
            }
        }
    }
    panic!("no end after {units} units: {durable:?}");
}

/// One round of a step against the other side, of one try each; and whether the try's outcome is not known.
fn run(
    shape: &Shape,
    choices: &mut Choices,
    left: &mut Trouble,
    world: &mut World,
    name: &'static str,
) -> (RoundEnd<(), Reason>, bool) {
    if world.forbids(name) {
        assert_eq!(name, "commit-stock", "tried again after its undo: {world:?}");
        return (RoundEnd::RefusedForGood(because(name)), false);
    }
    let mut options = vec!["done"];
    if left.refusals > 0 {
        options.push("refused");
        // These make sure of their refusal: the hold is given back, which fails once the stock was taken.
        if matches!(name, "capture" | "commit-stock") && !world.has("commit-stock") {
            options.push("refused for good");
        }
    }
    if left.unknowns > 0 {
        options.extend(["lost answer", "late", "unreachable"]);
    }
    let how = options[choices.one_of(options.len())];
    match how {
        "refused" => {
            left.refusals -= 1;
            return (RoundEnd::Refused(because(name)), false);
        }
        "refused for good" => {
            left.refusals -= 1;
            world.done.insert("for good");
            return (RoundEnd::RefusedForGood(because(name)), false);
        }
        "done" => {
            world.apply(name);
            return (RoundEnd::Done(()), false);
        }
        "lost answer" => world.apply(name),
        "late" => world.late.push(name),
        _ => {}
    }
    left.unknowns -= 1;
    let is_spent = shape.may_be_given_up(name) && choices.one_of(2) == 1;
    (if is_spent { RoundEnd::Spent(because(name)) } else { RoundEnd::LeftOpen }, true)
}

/// I10: completed means paid and delivered; anything else means neither, also when what was late has arrived.
fn check_the_end(shape: &Shape, world: &World, durable: &[Fact]) {
    let steps = ["reserve", "authorize", "capture", "commit-stock"];
    let in_effect: Vec<_> = steps.into_iter().filter(|step| world.has(step)).collect();
    match shape.view(durable, &[]).ending() {
        Ending::Completed => assert!(in_effect == steps && !world.has("refund"), "{world:?} {durable:?}"),
        Ending::Failed(reason) if reason == because("commit-stock") => {
            assert!(world.has("refund") && !world.has("commit-stock"), "{world:?} {durable:?}");
        }
        Ending::Cancelled | Ending::Failed(_) => assert!(in_effect.is_empty(), "{world:?} {durable:?}"),
    }
    assert_eq!(phase(shape, durable), Phase::Ended);
}

fn play_all(shape: &Shape, trouble: Trouble) -> usize {
    let mut choices = Choices::default();
    let mut courses = 0;
    let mut seen = [false; 3];
    loop {
        let ending = play(shape, &mut choices, trouble);
        courses += 1;
        match ending {
            Ending::Completed => seen[0] = true,
            Ending::Failed(_) => seen[1] = true,
            Ending::Cancelled => seen[2] = true,
        }
        if !choices.next_course() {
            assert_eq!(seen, [true, true, trouble.cancels > 0], "some ending was never reached");
            return courses;
        }
    }
}

#[test]
fn every_course_with_a_crash_at_every_point_ends_whole_or_undone() {
    for (crashes, refusals) in [(2, 0), (1, 1)] {
        let trouble = Trouble { crashes, unknowns: 1, refusals, cancels: 0, stuck: 0 };
        assert!(play_all(&place_order(true), trouble) > 1_000);
        assert!(play_all(&place_order(false), trouble) > 1_000);
    }
}

#[test]
fn every_course_with_a_cancel_at_every_point_ends_whole_or_undone() {
    for (crashes, refusals) in [(1, 0), (0, 1)] {
        let trouble = Trouble { crashes, unknowns: 1, refusals, cancels: 1, stuck: 0 };
        assert!(play_all(&place_order(true), trouble) > 500);
        assert!(play_all(&place_order(false), trouble) > 500);
    }
}

#[test]
fn every_course_with_an_undo_that_sticks_is_resumed_and_ends_undone() {
    for (crashes, unknowns, refusals) in [(1, 2, 0), (0, 2, 1)] {
        let trouble = Trouble { crashes, unknowns, refusals, cancels: 0, stuck: 1 };
        assert!(play_all(&place_order(true), trouble) > 1_000);
    }
}

#[test]
fn every_course_with_refusals_at_any_time_ends_whole_or_undone() {
    let trouble = Trouble { crashes: 0, unknowns: 2, refusals: 2, cancels: 0, stuck: 0 };
    assert!(play_all(&place_order(true), trouble) > 1_000);
    assert!(play_all(&place_order(false), trouble) > 1_000);
}

#[test]
fn a_saga_that_succeeds_takes_two_units_after_the_one_that_creates_it() {
    let shape = place_order(true);
    let mut durable: Vec<Fact> = shape.opening();
    let names = |steps: &[&'static str]| {
        steps.iter().map(|name| Fact::Done((*name).into(), None)).collect::<Vec<_>>()
    };
    assert_eq!(decide(&shape, &durable, &[]), Next::Run(vec!["reserve", "authorize"]));
    let pending = names(&["reserve", "authorize"]);
    let confirm =
        Next::Commit { locals: vec!["confirm"], intents: vec!["capture", "commit-stock"], ending: None };
    assert_eq!(decide(&shape, &durable, &pending), confirm);

    durable.extend(pending);
    durable.extend(names(&["confirm"]));
    durable.extend(["capture", "commit-stock"].map(|name| Entry::Intended(name.into())));
    assert_eq!(phase(&shape, &durable), Phase::Committed);
    assert_eq!(decide(&shape, &durable, &[]), Next::Run(vec!["capture"]));
    assert_eq!(decide(&shape, &durable, &names(&["capture"])), Next::Run(vec!["commit-stock"]));
    let complete =
        Next::Commit { locals: vec!["complete"], intents: vec![], ending: Some(Direction::Forward) };
    assert_eq!(decide(&shape, &durable, &names(&["capture", "commit-stock"])), complete);
}

#[test]
fn a_refused_step_is_not_undone_but_one_with_an_unknown_outcome_is() {
    let shape = place_order(true);
    let mut durable: Vec<Fact> = shape.opening();
    durable.push(Entry::Refused("reserve".into(), because("out_of_stock")));
    assert_eq!(decide(&shape, &durable, &[]), Next::Undo("authorize"));
    durable.push(Entry::Undone("authorize".into()));
    let end = Next::Commit { locals: vec![], intents: vec![], ending: Some(Direction::Back) };
    assert_eq!(decide(&shape, &durable, &[]), end);
}

#[test]
fn a_journal_survives_json() {
    let facts: Vec<Entry<u32, Reason>> = vec![
        Entry::Intended("reserve".into()),
        Entry::Done("reserve".into(), Some(7)),
        Entry::Done("confirm".into(), None),
        Entry::GivenUp("authorize".into(), because("unavailable")),
        Entry::CancelRequested,
        Entry::Ended,
    ];
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Entry<u32, Reason>>>(&json).unwrap(), facts);
}
