//! What a no means to the runner: it depends on who said it last and on what was tried before.

use super::{
    running::{Act, Paper, Scene, Shop, plan, quick},
    *,
};
use std::time::Duration;

#[tokio::test]
async fn a_refusal_after_an_open_try_undoes_the_step_too() {
    let undos = ["o1:void:1 #1", "o1:release:1 #1"];
    for step in ["reserve", "authorize"] {
        let shop = Shop::with(&[(step, &[Act::IsUnknown, Act::Refuses("no")])]);
        let scene = Scene::new(shop, Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Ended);
        assert_eq!(scene.ending(), Ending::Failed(because("no")), "{step}");
        assert!(scene.calls().ends_with(&undos.map(str::to_owned)), "{step}: {:?}", scene.calls());
    }
}

#[tokio::test]
async fn a_refusal_after_a_crash_undoes_the_step_too() {
    let scene = Scene::new(Shop::with(&[("authorize", &[Act::Refuses("no")])]), Paper::default());
    scene.paper.rows.lock().unwrap().push(vec![Entry::Resumed]);
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert!(scene.calls().ends_with(&["o1:void:1 #1".to_owned(), "o1:release:1 #1".to_owned()]));
}

#[tokio::test]
async fn from_the_pivot_on_only_a_refusal_for_good_ends_an_open_try() {
    for (step, undo) in [("capture", "o1:release:1 #1"), ("commit-stock", "o1:refund:1 #1")] {
        let acts = [Act::IsUnknown, Act::Refuses("stray"), Act::RefusesForGood("no")];
        let scene = Scene::new(Shop::with(&[(step, &acts)]), Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Ended);
        assert_eq!(scene.ending(), Ending::Failed(because("no")), "{step}");
        assert!(scene.calls().ends_with(&[undo.to_owned()]), "{step}");

        let acts = [Act::IsUnknown, Act::Refuses("stray")];
        let scene = Scene::new(Shop::with(&[(step, &acts)]), Paper::default());
        scene.run().await.unwrap();
        assert_eq!(scene.ending(), Ending::Completed, "{step}");
    }
}

#[tokio::test]
async fn a_refusal_that_does_not_count_is_followed_by_a_pause() {
    let scene = Scene::new(Shop::with(&[("capture", &[Act::Refuses("stray")])]), Paper::default());
    let done = |step: &'static str| Entry::Done(step.into(), Some(1));
    let confirmed = vec![
        done("reserve"),
        done("authorize"),
        Entry::Done("confirm".into(), None),
        Entry::Intended("capture".into()),
        Entry::Intended("commit-stock".into()),
    ];
    scene.paper.rows.lock().unwrap().extend([confirmed, vec![Entry::Resumed]]);
    scene.signals.stop.cancel();
    assert_eq!(scene.run().await.unwrap(), Finished::Draining, "it would have had to wait");
    assert_eq!(scene.calls(), ["o1:capture:1 #1"]);
}

#[tokio::test]
async fn tries_that_were_not_sent_wait_and_are_not_counted() {
    for name in ["authorize", "capture", "void"] {
        let mut script: Vec<(&str, &[Act])> = vec![(name, &[Act::IsNotSent; 20])];
        if name == "void" {
            script.push(("capture", &[Act::Refuses("no")]));
        }
        let shop = Shop::with(&script);
        let scene = Scene::new(shop, Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Ended, "{name}");
        let key = format!("o1:{name}:1 #1");
        assert_eq!(scene.calls().iter().filter(|call| **call == key).count(), 21, "{name}");
    }
}

#[tokio::test]
async fn a_step_that_was_never_sent_is_given_up_without_an_undo() {
    let policy = Policy { budget: Duration::from_millis(20), ..quick() };
    let shop = Shop::with(&[("authorize", &vec![Act::IsNotSent; 1000])]);
    let runner = Runner::new(shop, plan(), policy).unwrap();
    let scene = Scene { runner, ..Scene::new(Shop::default(), Paper::default()) };
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Failed(because("breaker")));
    assert!(scene.calls().iter().all(|call| !call.starts_with("o1:void")), "{:?}", scene.calls());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_ends_the_round() {
    let shop = Shop::with(&[("authorize", &[Act::IsMalformed])]);
    let scene = Scene::new(shop, Paper::default());
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Failed(because("internal")));
    assert!(scene.calls().ends_with(&["o1:void:1 #1".to_owned(), "o1:release:1 #1".to_owned()]));
    assert!(!scene.calls().contains(&"o1:authorize:1 #2".to_owned()), "{:?}", scene.calls());

    // The pivot cannot be given up: its next round asks again.
    let scene = Scene::new(Shop::with(&[("capture", &[Act::IsMalformed])]), Paper::default());
    assert_eq!(scene.run().await.unwrap(), Finished::Ended);
    assert_eq!(scene.ending(), Ending::Completed);
    assert_eq!(scene.calls().iter().filter(|call| *call == "o1:capture:1 #1").count(), 2);
}

#[tokio::test]
async fn a_runner_that_others_refuse_as_replaced_stops_without_another_call() {
    for step in ["reserve", "authorize", "capture", "commit-stock"] {
        let scene = Scene::new(Shop::with(&[(step, &[Act::IsFenced])]), Paper::default());
        assert_eq!(scene.run().await.unwrap(), Finished::Fenced, "{step}");
        let last = scene.calls().into_iter().filter(|call| call.starts_with(&format!("o1:{step}:"))).count();
        assert_eq!(last, 1, "{step} is not tried again: {:?}", scene.calls());
        let durable = scene.paper.rows.lock().unwrap().concat();
        let said = durable.iter().filter(|fact| !matches!(fact, Entry::Intended(_)));
        assert!(said.filter_map(Entry::step).all(|about| about != step), "{step}: {durable:?}");
    }
    let script: [(&str, &[Act]); 2] = [("authorize", &[Act::Refuses("no")]), ("release", &[Act::IsFenced])];
    let scene = Scene::new(Shop::with(&script), Paper::default());
    assert_eq!(scene.run().await.unwrap(), Finished::Fenced);
    assert_eq!(scene.calls().iter().filter(|call| call.starts_with("o1:release:")).count(), 1);
}
