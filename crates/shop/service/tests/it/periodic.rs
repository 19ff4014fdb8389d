//! Work in intervals.

use crate::support::in_time;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use waypost_service::{Drain, Worker};
use waypost_telemetry::Telemetry;

const OFTEN: Duration = Duration::from_millis(1);
const NEVER_AGAIN: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_round_that_fails_is_followed_by_the_next_until_the_drain() {
    let rounds = Arc::new(Semaphore::new(0));
    let counted = Arc::clone(&rounds);
    let worker = Worker::every("sweeper", OFTEN, &Telemetry::disabled(), move || {
        counted.add_permits(1);
        async { Err::<(), _>(io::Error::from(io::ErrorKind::TimedOut)) }
    });
    let (trigger, drain) = Drain::new();
    let running = waypost_telemetry::spawn((worker.run)(drain));
    in_time(rounds.acquire_many(3)).await.unwrap().forget();
    trigger.start();
    in_time(running).await.unwrap();
}

#[tokio::test]
async fn a_round_that_has_begun_is_finished() {
    let (begun, goes_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let finished = Arc::new(AtomicUsize::new(0));
    let parts = (Arc::clone(&begun), Arc::clone(&goes_on), Arc::clone(&finished));
    let worker = Worker::every("sweeper", NEVER_AGAIN, &Telemetry::disabled(), move || {
        let (begun, goes_on, finished) = parts.clone();
        async move {
            begun.add_permits(1);
            goes_on.acquire().await.unwrap().forget();
            finished.fetch_add(1, Ordering::SeqCst);
            Ok::<(), io::Error>(())
        }
    });
    let (trigger, drain) = Drain::new();
    let running = waypost_telemetry::spawn((worker.run)(drain));
    in_time(begun.acquire()).await.unwrap().forget();
    trigger.start();
    goes_on.add_permits(1);
    in_time(running).await.unwrap();
    assert_eq!(finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn portions_are_repeated_until_nothing_is_left() {
    let (left, asked) = (Arc::new(AtomicUsize::new(3)), Arc::new(Semaphore::new(0)));
    let parts = (Arc::clone(&left), Arc::clone(&asked));
    let worker = Worker::in_portions("purge", NEVER_AGAIN, &Telemetry::disabled(), move || {
        let (left, asked) = parts.clone();
        async move {
            asked.add_permits(1);
            let before = left.load(Ordering::SeqCst);
            left.store(before.saturating_sub(1), Ordering::SeqCst);
            Ok::<usize, io::Error>(before)
        }
    });
    let (trigger, drain) = Drain::new();
    let running = waypost_telemetry::spawn((worker.run)(drain));
    in_time(asked.acquire_many(4)).await.unwrap().forget();
    trigger.start();
    in_time(running).await.unwrap();
    assert_eq!(left.load(Ordering::SeqCst), 0);
}
