//! The runner against scripted steps and a journal in memory: repetition, budgets, fences, keys, spans.

use super::*;
use crate::{Backoff, Epoch};
use futures_util::future::BoxFuture;
use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};
use waypost_telemetry::testing::TestTelemetry;

/// How a scripted call goes.
#[derive(Clone, Copy)]
pub(super) enum Act {
    Succeeds,
    Refuses(&'static str),
    RefusesForGood(&'static str),
    IsUnknown,
    IsMalformed,
    IsFenced,
    IsNotSent,
    Hangs,
}

/// The saga's value: what each step does in turn, and what was called. What is not scripted succeeds.
#[derive(Default)]
pub(super) struct Shop {
    pub(super) script: Mutex<HashMap<&'static str, VecDeque<Act>>>,
    calls: Mutex<Vec<String>>,
}

impl Shop {
    pub(super) fn with(script: &[(&'static str, &[Act])]) -> Shop {
        let script = script.iter().map(|(name, acts)| (*name, acts.iter().copied().collect())).collect();
        Shop { script: Mutex::new(script), calls: Mutex::default() }
    }

    async fn act(&self, name: &'static str, call: &Call) -> Result<u32, Failure<Reason>> {
        self.calls.lock().unwrap().push(format!("{} #{}", call.key(), call.attempt()));
        let act = self.script.lock().unwrap().get_mut(name).and_then(VecDeque::pop_front);
        match act.unwrap_or(Act::Succeeds) {
            Act::Succeeds => Ok(1),
            Act::Refuses(reason) => Err(Failure::Refused(because(reason))),
            Act::RefusesForGood(reason) => Err(Failure::RefusedForGood(because(reason))),
            Act::IsNotSent => {
                let retry_in = Duration::from_millis(1);
                Err(Failure::NotSent { reason: because("breaker"), retry_in })
            }
            Act::IsUnknown => Err(Failure::Unknown(because("unavailable"))),
            Act::IsFenced => Err(Failure::Fenced(because("stale_runner"))),
            Act::IsMalformed => Err(Failure::Malformed(because("internal"))),
            Act::Hangs => std::future::pending().await,
        }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl Saga for Shop {
    type State = u32;
    type Output = u32;
    type Reason = Reason;
}

macro_rules! steps {
    ($($step:ident $name:literal)*) => {$(
        struct $step;
        impl Step<Shop> for $step {
            const NAME: &'static str = $name;
            const SPAN: &'static str = $name;
            async fn run(&self, shop: &Shop, _: &u32, call: &Call) -> Result<u32, Failure<Reason>> {
                shop.act($name, call).await
            }
        }
    )*};
}

macro_rules! undos {
    ($($undo:ident $name:literal)*) => {$(
        struct $undo;
        impl Undo<Shop> for $undo {
            const NAME: &'static str = $name;
            const SPAN: &'static str = $name;
            async fn undo(&self, shop: &Shop, _: &u32, call: &Call) -> Result<(), Failure<Reason>> {
                shop.act($name, call).await.map(drop)
            }
        }
    )*};
}

macro_rules! locals {
    ($($local:ident $name:literal $span:literal)*) => {$(
        struct $local;
        impl Local<Shop> for $local {
            const NAME: &'static str = $name;
            const SPAN: &'static str = $span;
        }
    )*};
}

steps! { Reserve "reserve" Authorize "authorize" Capture "capture" CommitStock "commit-stock" }
undos! { Release "release" Void "void" Refund "refund" }
locals! { Confirm "confirm" "confirm-order" Complete "complete" "complete-order" }

pub(super) fn plan() -> Plan<Shop> {
    saga("place-order")
        .together([step(Reserve).undo(Release), step(Authorize).undo(Void)])
        .local(Confirm)
        .pivot(Capture)
        .step(step(CommitStock).otherwise(Refund))
        .local(Complete)
}

pub(super) fn quick() -> Policy {
    Policy {
        attempts: 3,
        budget: Duration::from_secs(5),
        attempt_timeout: Duration::from_secs(5),
        pause: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(2) },
        undo_attempts: 3,
        round_pause: Backoff { first: Duration::from_millis(1), max: Duration::from_millis(2) },
    }
}

type Fact = Entry<u32, Reason>;
type Hook = Box<dyn FnOnce(&mut Vec<Vec<Fact>>) + Send>;

/// A journal in memory; the state counts the units.
#[derive(Default)]
pub(super) struct Paper {
    pub(super) rows: Mutex<Vec<Vec<Fact>>>,
    /// Runs once, just before the unit with this number is written.
    before: Mutex<HashMap<usize, Hook>>,
    is_taken_over: Mutex<bool>,
    is_broken: Mutex<bool>,
}

impl Paper {
    fn facts(&self) -> Vec<Fact> {
        self.rows.lock().unwrap().concat()
    }

    fn before_unit(self, unit: usize, hook: impl FnOnce(&mut Vec<Vec<Fact>>) + Send + 'static) -> Self {
        self.before.lock().unwrap().insert(unit, Box::new(hook));
        self
    }

    fn loaded(&self) -> Loaded<Shop> {
        let rows = self.rows.lock().unwrap();
        let count = u64::try_from(rows.len()).unwrap();
        Loaded {
            state: u32::try_from(rows.len()).unwrap(),
            log: Log::new(rows.concat(), count),
            epoch: Epoch::FIRST,
        }
    }
}

impl Journal<Shop> for Paper {
    fn append(&self, batch: Batch<Shop>) -> BoxFuture<'_, Result<u32, AppendError>> {
        let mut rows = self.rows.lock().unwrap();
        if let Some(hook) = self.before.lock().unwrap().remove(&rows.len()) {
            hook(&mut rows);
        }
        let result = if *self.is_broken.lock().unwrap() {
            Err(AppendError::Failed("disk full".into()))
        } else if rows.len() as u64 == batch.rows_before {
            rows.push(batch.entries);
            Ok(u32::try_from(rows.len()).unwrap())
        } else {
            Err(AppendError::Conflict)
        };
        Box::pin(std::future::ready(result))
    }

    fn reload(&self) -> BoxFuture<'_, Result<Loaded<Shop>, AppendError>> {
        let taken = *self.is_taken_over.lock().unwrap();
        Box::pin(std::future::ready(if taken { Err(AppendError::Fenced) } else { Ok(self.loaded()) }))
    }
}

pub(super) struct Scene {
    pub(super) runner: Runner<Shop>,
    pub(super) paper: Paper,
    pub(super) signals: Signals,
}

impl Scene {
    pub(super) fn new(shop: Shop, paper: Paper) -> Scene {
        let runner = Runner::new(shop, plan(), quick()).unwrap();
        paper.rows.lock().unwrap().insert(0, runner.opening());
        Scene { runner, paper, signals: Signals::default() }
    }

    pub(super) async fn run(&self) -> Result<Finished, Error> {
        let run = self.runner.run("o1", &self.paper, self.paper.loaded(), &self.signals);
        tokio::time::timeout(Duration::from_secs(10), run).await.expect("the saga must come to an end")
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.runner.saga.calls()
    }

    pub(super) fn ending(&self) -> Ending<Reason> {
        let facts = self.paper.facts();
        assert!(facts.contains(&Entry::Ended), "not at its end: {facts:?}");
        self.runner.shape.view(&facts, &[]).ending()
    }
}

#[tokio::test]
async fn a_saga_runs_its_steps_in_order_and_writes_three_units() {
    let scene = Scene::new(Shop::default(), Paper::default());
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Completed);
    let calls = scene.calls();
    assert_eq!(calls, ["o1:reserve:1 #1", "o1:authorize:1 #1", "o1:capture:1 #1", "o1:commit-stock:1 #1"]);
    assert_eq!(scene.paper.loaded().log.rows(), 3);
}

#[tokio::test]
async fn running_an_ended_saga_again_does_nothing() {
    let scene = Scene::new(Shop::default(), Paper::default());
    scene.run().await.unwrap();
    let calls = scene.calls();
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.calls(), calls);
}

#[tokio::test]
async fn an_unknown_outcome_is_repeated_with_the_same_key() {
    let shop = Shop::with(&[("authorize", &[Act::IsUnknown, Act::IsUnknown])]);
    let scene = Scene::new(shop, Paper::default());
    scene.run().await.unwrap();
    assert_eq!(scene.ending(), Ending::Completed);
    let authorize: Vec<_> =
        scene.calls().into_iter().filter(|call| call.starts_with("o1:authorize:1")).collect();
    assert_eq!(authorize, ["o1:authorize:1 #1", "o1:authorize:1 #2", "o1:authorize:1 #3"]);
}

#[tokio::test]
async fn each_step_before_the_pivot_that_is_refused_turns_the_saga_back() {
    for (refused, undone) in [
        ("reserve", vec!["o1:void:1 #1"]),
        ("authorize", vec!["o1:release:1 #1"]),
        ("capture", vec!["o1:void:1 #1", "o1:release:1 #1"]),
    ] {
        let scene = Scene::new(Shop::with(&[(refused, &[Act::Refuses("no")])]), Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Ended);
        assert_eq!(scene.ending(), Ending::Failed(because("no")), "{refused}");
        let mut calls = scene.calls();
        let undos = calls.split_off(calls.len() - undone.len());
        assert_eq!(undos, undone, "{refused}");
    }
}

#[tokio::test]
async fn a_step_before_the_pivot_whose_outcome_stays_unknown_is_undone_too() {
    let scene = Scene::new(Shop::with(&[("authorize", &[Act::IsUnknown; 3])]), Paper::default());
    scene.run().await.unwrap();
    assert_eq!(scene.ending(), Ending::Failed(because("unavailable")));
    assert!(scene.calls().ends_with(&["o1:void:1 #1".to_owned(), "o1:release:1 #1".to_owned()]));
}

#[tokio::test]
async fn each_step_from_the_pivot_on_is_repeated_round_after_round_until_it_succeeds() {
    for step in ["capture", "commit-stock"] {
        let scene = Scene::new(Shop::with(&[(step, &[Act::IsUnknown; 11])]), Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Ended);
        assert_eq!(scene.ending(), Ending::Completed, "{step}");
        let key = format!("o1:{step}:1");
        assert_eq!(scene.calls().iter().filter(|call| call.starts_with(&key)).count(), 12, "{step}");
    }
}

#[tokio::test]
async fn a_refusal_after_the_pivot_is_made_up_for() {
    let scene =
        Scene::new(Shop::with(&[("commit-stock", &[Act::Refuses("out_of_stock")])]), Paper::default());
    scene.run().await.unwrap();
    assert_eq!(scene.ending(), Ending::Failed(because("out_of_stock")));
    assert!(scene.calls().ends_with(&["o1:refund:1 #1".to_owned()]));
}

#[tokio::test]
async fn each_undo_that_keeps_failing_is_parked_and_can_be_resumed() {
    for undo in ["void", "release"] {
        let shop = Shop::with(&[("capture", &[Act::Refuses("no")]), (undo, &[Act::IsUnknown; 4])]);
        let scene = Scene::new(shop, Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Stuck);
        assert_eq!(phase(&scene.runner.shape, &scene.paper.facts()), Phase::Stuck);
        assert_eq!(scene.run().await.unwrap(), Finished::Stuck, "parked until somebody resumes it");

        scene.paper.rows.lock().unwrap().push(vec![Entry::Resumed]);
        assert_eq!(scene.run().await.unwrap(), Finished::Ended);
        assert_eq!(scene.ending(), Ending::Failed(because("no")));
        let key = format!("o1:{undo}:1");
        assert_eq!(scene.calls().iter().filter(|call| call.starts_with(&key)).count(), 5, "{undo}");
    }
}

#[tokio::test]
async fn a_cancel_that_comes_in_before_the_pivot_wins_over_the_confirmation() {
    let paper = Paper::default().before_unit(1, |rows| rows.push(vec![Entry::CancelRequested]));
    let scene = Scene::new(Shop::default(), paper);
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Cancelled);
    assert!(scene.calls().ends_with(&["o1:void:1 #1".to_owned(), "o1:release:1 #1".to_owned()]));
}

#[tokio::test]
async fn a_cancel_ends_the_repetitions_of_a_step() {
    let shop = Shop::with(&[("reserve", &[Act::IsUnknown; 9])]);
    let hour = Duration::from_hours(1);
    let policy = Policy { pause: Backoff { first: hour, max: hour }, budget: hour * 10, ..quick() };
    let runner = Runner::new(shop, plan(), policy).unwrap();
    let scene = Scene { runner, ..Scene::new(Shop::default(), Paper::default()) };
    scene.paper.rows.lock().unwrap().push(vec![Entry::CancelRequested]);
    let start = Loaded { log: Log::new(scene.runner.opening(), 1), ..scene.paper.loaded() };
    scene.signals.cancel_requested.cancel();
    let run = scene.runner.run("o1", &scene.paper, start, &scene.signals);
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Cancelled);
}

#[tokio::test]
async fn a_runner_that_was_replaced_stops_without_writing() {
    let paper = Paper::default().before_unit(1, |rows| rows.push(vec![Entry::Resumed]));
    *paper.is_taken_over.lock().unwrap() = true;
    let scene = Scene::new(Shop::default(), paper);
    assert_eq!(scene.run().await.unwrap(), Finished::Fenced);
    assert_eq!(scene.paper.loaded().log.rows(), 2);
    assert_eq!(scene.calls().len(), 2, "nothing more is called");
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_stops_the_run_and_a_later_one_goes_on() {
    let scene = Scene::new(Shop::default(), Paper::default());
    *scene.paper.is_broken.lock().unwrap() = true;
    let error = scene.run().await.unwrap_err();
    assert_eq!(error.error_type(), "saga_journal_failed");
    *scene.paper.is_broken.lock().unwrap() = false;
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Completed);
}

#[tokio::test]
async fn a_process_that_stops_does_not_wait_for_better_times() {
    let scene = Scene::new(Shop::with(&[("capture", &[Act::IsUnknown; 100])]), Paper::default());
    scene.signals.stop.cancel();
    assert_eq!(scene.run().await.unwrap(), Finished::Draining);
    assert!(!scene.paper.facts().contains(&Entry::Ended));
}

#[tokio::test]
async fn a_run_that_is_dropped_in_a_step_is_resumed_with_the_same_key() {
    for step in ["reserve", "authorize", "capture", "commit-stock"] {
        let scene = Scene::new(Shop::with(&[(step, &[Act::Hangs])]), Paper::default());
        let run = scene.runner.run("o1", &scene.paper, scene.paper.loaded(), &scene.signals);
        assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err(), "{step} hangs");

        scene.paper.rows.lock().unwrap().push(vec![Entry::Resumed]);
        assert_eq!(scene.run().await.unwrap(), Finished::Ended);
        assert_eq!(scene.ending(), Ending::Completed);
        let key = format!("o1:{step}:1 #1");
        assert_eq!(scene.calls().iter().filter(|call| **call == key).count(), 2, "{step}");
    }
}

#[tokio::test]
async fn a_journal_of_another_version_is_refused() {
    let scene = Scene::new(Shop::default(), Paper::default());
    scene.paper.rows.lock().unwrap().push(vec![Entry::Intended("gift-wrap".into())]);
    let error = scene.run().await.unwrap_err();
    assert!(matches!(error, Error::UnknownStep { ref step, .. } if step == "gift-wrap"), "{error}");
}

#[test]
fn a_plan_that_cannot_work_is_refused() {
    let problem = |plan: Plan<Shop>| plan.check().unwrap_err();
    assert_eq!(problem(plan().local(Confirm)), PlanError::NameTwice("confirm"));
    assert_eq!(problem(saga("s").pivot(Capture).pivot(Reserve)), PlanError::TwoPivots);
    let undone = saga("s").pivot(Capture).step(step(Reserve).undo(Release));
    assert_eq!(problem(undone), PlanError::UndoAfterPivot("reserve"));
    let otherwise = saga("s").step(step(Reserve).otherwise(Refund)).pivot(Capture);
    assert_eq!(problem(otherwise), PlanError::OtherwiseBeforePivot("reserve"));
}

#[tokio::test]
async fn a_saga_that_turns_back_shows_where_and_what_was_undone() {
    let telemetry = TestTelemetry::new("order-service");
    let shop = Shop::with(&[("reserve", &[Act::Refuses("out_of_stock")])]);
    let scene = Scene::new(shop, Paper::default());
    telemetry.span("create-order").run(scene.run()).await.unwrap();
    telemetry.tree().assert_matches(
        "create-order INTERNAL order-service
           reserve INTERNAL order-service ERROR error.type=out_of_stock
           authorize INTERNAL order-service
           compensate INTERNAL order-service
             void INTERNAL order-service
           fail INTERNAL order-service",
    );
}

#[tokio::test]
async fn a_saga_that_succeeds_shows_its_local_steps_around_their_units() {
    let telemetry = TestTelemetry::new("order-service");
    let scene = Scene::new(Shop::default(), Paper::default());
    telemetry.span("create-order").run(scene.run()).await.unwrap();
    telemetry.tree().assert_matches(
        "create-order INTERNAL order-service
           reserve INTERNAL order-service
           authorize INTERNAL order-service
           confirm-order INTERNAL order-service
           capture INTERNAL order-service
           commit-stock INTERNAL order-service
           complete-order INTERNAL order-service",
    );
}
