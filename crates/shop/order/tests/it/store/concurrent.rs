//! What a store keeps when many call it at once. The isolation that each method needs is in the trait's documentation.

use super::{Subject, at, confirmed, ended, key, order, place, placement, postgres, sqlite, viewer};
use std::{collections::BTreeSet, future::Future};
use waypost_durable::{Epoch, saga::Ending};
use waypost_order::{
    domain::{Cursor, Order, TokenKey},
    store::{Cancelling, Placed, Placement, Progress},
};

on_each_store! {
    of_placements_with_one_key_one_is_new
    of_runners_that_take_over_one_gets_it
    a_unit_is_carried_out_once
    an_order_is_either_cancelled_or_paid_for
    all_get_the_same_token_key
    a_list_shows_what_was_there_once_while_orders_come_in
    of_two_units_on_one_row_one_is_written_whole
}

/// Makes the calls at the same time; their answers in the order of the calls.
async fn at_once<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = calls.into_iter().map(waypost_telemetry::spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

async fn of_placements_with_one_key_one_is_new(subject: Subject) {
    let placements = (0..20).map(|number| {
        let store = subject.store.clone();
        let order = order(&format!("order-{number}"), 0);
        let placement = Placement { key: Some(key("k", 1)), ..placement(order.clone()) };
        async move { (order.id, store.when(at(0)).place(placement).await.unwrap()) }
    });
    let (mut new, mut seen) = (Vec::new(), BTreeSet::new());
    for (id, placed) in at_once(placements).await {
        match placed {
            Placed::New => new.push(id),
            Placed::Before(before) => drop(seen.insert(before.id)),
            Placed::KeyReused => panic!("it is the same request"),
        }
    }
    assert_eq!(new.len(), 1);
    assert_eq!(seen, new.into_iter().collect());
}

async fn of_runners_that_take_over_one_gets_it(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let runners =
        (0..10).map(|number| {
            let (store, id) = (subject.store.clone(), placed.id.clone());
            let runner = format!("runner-{number}");
            async move {
                store.when(at(1000)).take_over(id, runner, std::time::Duration::from_secs(4)).await.unwrap()
            }
        });
    let taken: Vec<_> = at_once(runners).await.into_iter().flatten().collect();
    assert_eq!(taken.iter().map(|taken| taken.epoch).collect::<Vec<_>>(), [Epoch::FIRST.next()]);
}

async fn a_unit_is_carried_out_once(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let units = (0..10).map(|_| {
        let store = subject.store.clone();
        let end = ended(&placed, 1, &Ending::Cancelled, 5);
        async move { store.when(at(5)).advance(end).await.unwrap() }
    });
    assert_eq!(at_once(units).await.into_iter().filter(|is_done| *is_done).count(), 1);
    let taken = subject.store.reload(placed.id.clone(), Epoch::FIRST).await.unwrap().unwrap();
    assert_eq!((taken.log.rows(), taken.order.version), (2, 2));
    assert_eq!(subject.outbox.pending(10).await.unwrap().len(), 1);
}

async fn an_order_is_either_cancelled_or_paid_for(subject: Subject) {
    for number in 0..20 {
        let placed = order(&format!("order-{number}"), 0);
        place(&subject, &placed).await;
        let (store, capture) = (subject.store.clone(), confirmed(&placed, 6));
        let paying =
            waypost_telemetry::spawn(async move { store.when(at(6)).advance(capture).await.unwrap() });
        let cancelled = subject.store.when(at(6)).cancel(placed.id.clone(), viewer("user123")).await.unwrap();
        let is_paid_for = paying.await.unwrap();
        match cancelled.unwrap() {
            Cancelling::Noted(_) => assert!(!is_paid_for, "order {number} is both"),
            Cancelling::TooLate(_) => assert!(is_paid_for, "order {number} is neither"),
            Cancelling::TurnedBack(_) => panic!("nobody else cancelled order {number}"),
        }
    }
}

async fn all_get_the_same_token_key(subject: Subject) {
    let keys = (0..10).map(|_| {
        let store = subject.store.clone();
        async move { store.token_key().await.unwrap() }
    });
    let keys: Vec<TokenKey> = at_once(keys).await;
    assert!(keys.iter().all(|key| *key == keys[0]));
}

async fn a_list_shows_what_was_there_once_while_orders_come_in(subject: Subject) {
    let before: Vec<Order> = (0..10).map(|number| order(&format!("old-{number}"), number)).collect();
    for order in &before {
        place(&subject, order).await;
    }
    let coming: Vec<_> = (0..20)
        .map(|number| {
            let store = subject.store.clone();
            let order = order(&format!("new-{number}"), 100 + number);
            waypost_telemetry::spawn(
                async move { store.when(at(100)).place(placement(order)).await.unwrap() },
            )
        })
        .collect();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = subject.store.page("user123".parse().unwrap(), viewer("user123"), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Cursor { created_at: last.created_at, id: last.id.clone() });
        seen.extend(page);
    }
    assert!(seen.is_sorted_by(|one, next| (one.created_at, &one.id) > (next.created_at, &next.id)));
    assert!(before.iter().all(|order| seen.contains(order)));
    for placed in coming {
        assert_eq!(placed.await.unwrap(), Placed::New);
    }
}

/// A unit that lost its row to another one writes nothing of its own, whatever it was about to write.
async fn of_two_units_on_one_row_one_is_written_whole(subject: Subject) {
    let placed = order("order-1", 0);
    place(&subject, &placed).await;
    let units = [confirmed(&placed, 5), ended(&placed, 1, &Ending::Cancelled, 5)].map(|unit: Progress| {
        let store = subject.store.clone();
        async move { store.when(at(5)).advance(unit).await.unwrap() }
    });
    let done = at_once(units).await;
    assert_ne!(done[0], done[1]);
    let history = subject.store.history(placed.id.clone()).await.unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(subject.outbox.pending(10).await.unwrap().len(), usize::from(done[1]));
}
