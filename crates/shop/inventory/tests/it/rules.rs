//! The rules under random sequences of requests: I11 and I12 hold after every step.

use crate::world::{Timed, assert_adds_up, at, lines, new_product, order, sqlite};
use proptest::prelude::*;
use std::collections::HashMap;
use waypost_api::Timestamp;
use waypost_durable::Epoch;
use waypost_inventory::domain::{Generation, NewReservation, ReservationState};

/// One request, or the passing of time before it.
#[derive(Clone, Debug)]
enum Step {
    Reserve { order: u8, generation: u32, wanted: Vec<(&'static str, u32)>, holds: i64 },
    Commit { order: u8 },
    Release { order: u8, generation: u32 },
    Sweep { max: u32 },
    Wait { millis: i64 },
}

fn wanted() -> impl Strategy<Value = Vec<(&'static str, u32)>> {
    prop_oneof![
        (1..4_u32).prop_map(|quantity| vec![("a", quantity)]),
        (1..3_u32, 1..3_u32).prop_map(|(one, other)| vec![("a", one), ("b", other)]),
        Just(vec![("b", 1)]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, 1..4_u32, wanted(), 1..60_i64)
            .prop_map(|(order, generation, wanted, holds)| Step::Reserve { order, generation, wanted, holds }),
        3 => (0..4_u8).prop_map(|order| Step::Commit { order }),
        2 => (0..4_u8, 1..4_u32).prop_map(|(order, generation)| Step::Release { order, generation }),
        1 => (1..3_u32).prop_map(|max| Step::Sweep { max }),
        2 => (1..40_i64).prop_map(|millis| Step::Wait { millis }),
    ]
}

/// An answer in a form that answers can be compared by.
async fn carry_out(store: &Timed, step: &Step, now: Timestamp) -> String {
    let told = |result: Result<String, waypost_inventory::Error>| {
        result.unwrap_or_else(|error| format!("{}: {error}", error.code()))
    };
    let name = |order: u8| crate::world::order(&format!("order-{order}"));
    match step {
        Step::Reserve { order, generation, wanted, holds } => {
            let request = NewReservation {
                order: name(*order),
                generation: Generation::new(*generation),
                lines: lines(wanted),
                lasts: std::time::Duration::from_millis(u64::try_from(*holds).unwrap()),
                epoch: Epoch::FIRST,
            };
            told(store.when(now).reserve(request).await.map(|held| format!("{held:?}")))
        }
        Step::Commit { order } => {
            told(store.when(now).commit(name(*order), Epoch::FIRST).await.map(|held| format!("{held:?}")))
        }
        Step::Release { order, generation } => {
            let generation = Generation::new(*generation);
            told(
                store
                    .when(now)
                    .release(name(*order), generation, Epoch::FIRST)
                    .await
                    .map(|released| released.to_string()),
            )
        }
        Step::Sweep { max } => told(store.when(now).expire(*max).await.map(|ended| ended.to_string())),
        Step::Wait { .. } => String::new(),
    }
}

async fn run(steps: Vec<Step>) {
    let store = sqlite();
    store.when(at(0)).add_products(vec![new_product("a", 6), new_product("b", 3)]).await.unwrap();
    let mut now = 0;
    // I12: what a commit was answered for never changes again.
    let mut committed: HashMap<u8, String> = HashMap::new();
    for step in &steps {
        if let Step::Wait { millis } = step {
            now += millis;
        }
        let answer = carry_out(&store, step, at(now)).await;
        assert_adds_up(&*store).await;
        if let Step::Commit { order } = step
            && answer.contains("Committed")
        {
            assert_eq!(committed.entry(*order).or_insert_with(|| answer.clone()), &answer);
        }
        for (number, first) in &committed {
            let again =
                store.when(at(now)).commit(order(&format!("order-{number}")), Epoch::FIRST).await.unwrap();
            assert_eq!(again.state, ReservationState::Committed);
            assert_eq!(&format!("{again:?}"), first);
        }
    }
}

proptest! {
    // A sequence that fails is printed whole, at its shortest; nothing is written into the source tree.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_requests_keeps_the_stock_right(steps in proptest::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
