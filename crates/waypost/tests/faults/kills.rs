//! `kill -9` of one role at a time, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waypost_testkit::{Role, Roles};

use crate::course::{Purchase, course};
use crate::shop::{Kind, on_each_kind};
use crate::verdict::everything_is_right;
use crate::{alone, number, shop};

/// Kills unless `KILLS` says otherwise; on a server a quarter of them.
const KILLS: u64 = 40;
/// Courses at once.
const AT_ONCE: usize = 8;
/// Seeds there is stock for.
const SEEDS: u64 = 5000;

on_each_kind! { orders_are_right_after_kills_of_single_roles }

async fn orders_are_right_after_kills_of_single_roles(kind: Kind) {
    let _alone = alone().await;
    let seed = number("SEED").unwrap_or(1);
    let mut roles = shop::prepared(&kind, 0..SEEDS, &[]).await;
    roles.start_all().await.unwrap();
    let load = Load::start(&roles);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..number("KILLS").unwrap_or(kind.share(KILLS)) {
        // The moments are the subject of the test, not waits for a state.
        tokio::time::sleep(Duration::from_millis(random.u64(50..600))).await;
        let role = Role::ALL[random.usize(..Role::ALL.len())];
        roles.kill(role).await.unwrap();
        tokio::time::sleep(Duration::from_millis(random.u64(0..400))).await;
        roles.start(role).await.unwrap();
    }
    let purchases = load.stop().await;
    everything_is_right(&roles, purchases).await;
}

/// Courses one after the other, several at once, until they are stopped.
pub(crate) struct Load {
    next: Arc<AtomicU64>,
    courses: tokio::task::JoinSet<Vec<Purchase>>,
}

impl Load {
    pub(crate) fn start(roles: &Roles) -> Load {
        let next = Arc::new(AtomicU64::new(0));
        let mut courses = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (gateway, next) = (roles.gateway(), Arc::clone(&next));
            courses.spawn(async move {
                let mut purchases = Vec::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= SEEDS {
                        break purchases;
                    }
                    purchases.extend(course(seed, gateway.clone()).await);
                }
            });
        }
        Load { next, courses }
    }

    /// Lets the courses under way end.
    pub(crate) async fn stop(self) -> Vec<Purchase> {
        self.next.fetch_max(SEEDS, Ordering::SeqCst);
        self.courses.join_all().await.into_iter().flatten().collect()
    }
}
