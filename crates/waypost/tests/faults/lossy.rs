//! Calls between the roles are lost, late, doubled, or answered by something on the way.

use futures_util::stream::{self, StreamExt as _};

use crate::course::course;
use crate::shop::{Kind, on_each_kind};
use crate::verdict::everything_is_right;
use crate::{alone, number, shop};

/// Seeds that run unless `SEEDS` says otherwise; in one file and on a server a quarter of them.
const SEEDS: u64 = 200;
/// Courses at once unless `AT_ONCE` says otherwise. A course is little work and much waiting for what its faults hold back.
const AT_ONCE: u64 = 64;

on_each_kind! { orders_are_right_after_calls_were_lost_late_or_doubled }

mod on_one_file {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn orders_are_right_after_calls_were_lost_late_or_doubled() {
        super::orders_are_right_after_calls_were_lost_late_or_doubled(crate::shop::Kind::OneFile).await;
    }
}

async fn orders_are_right_after_calls_were_lost_late_or_doubled(kind: Kind) {
    let _alone = alone().await;
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(kind.share(SEEDS)),
    };
    let mut roles = shop::prepared(&kind, seeds.start..seeds.end + 1, &[]).await;
    roles.start_all().await.unwrap();
    let gateway = roles.gateway();
    // Fair weather until everything is connected.
    let first = course(seeds.end, gateway.clone()).await;
    roles.weather().set_foul(true);
    let begun = tokio::time::Instant::now();
    let courses = stream::iter(seeds).map(|seed| course(seed, gateway.clone()));
    let at_once = number("AT_ONCE").unwrap_or(AT_ONCE).try_into().unwrap();
    let courses: Vec<_> = courses.buffer_unordered(at_once).collect().await;
    println!("the courses took {:?}, {at_once} at once", begun.elapsed());
    everything_is_right(&roles, courses.into_iter().flatten().chain(first).collect()).await;
}
