//! The PostgreSQL server of all roles in trouble, under load: nothing is lost or doubled, every request is answered, the
//! roles say that they cannot work when they cannot, and all of them recover without a restart.

mod away;
mod full;
mod locks;
mod scarce;

use std::collections::BTreeMap;

use waypost_test_servers::own_postgres::OwnPostgres;
use waypost_testkit::{Role, Roles, until};

use crate::course::{Purchase, Told};
use crate::kills::Load;
use crate::shop::{Kind, PLENTY, prepared};
use crate::verdict::everything_is_right;

/// Those that keep data on the server.
const KEEPERS: [Role; 6] =
    [Role::Provider, Role::Inventory, Role::User, Role::Payment, Role::Order, Role::Notification];

/// A shop with orders under way.
struct Running {
    roles: Roles,
    load: Load,
}

impl Running {
    /// On a server of the test's own.
    async fn on(server: &OwnPostgres, settings: &[(&str, &str)]) -> Running {
        Running::at(server.url(), settings).await
    }

    /// On the server of a URL.
    async fn at(url: String, settings: &[(&str, &str)]) -> Running {
        let mut roles = prepared(&Kind::OwnServer(url), 0..5000, settings).await;
        roles.start_all().await.unwrap();
        let load = Load::start(&roles);
        let running = Running { roles, load };
        running.end_more_orders(10).await;
        running
    }

    /// Waits until so many more orders have ended.
    async fn end_more_orders(&self, more: usize) {
        // Nothing while the server does not answer.
        let ended = async || {
            let books = self.roles.data().books().await.ok()?;
            Some(books.orders.values().filter(|order| order.is_settled()).count())
        };
        let mut before = None;
        until("the orders that have ended", async || {
            before = ended().await;
            before.is_some()
        })
        .await;
        let enough = before.unwrap_or_default() + more;
        until("more orders to end", async || ended().await.is_some_and(|ended| ended >= enough)).await;
    }

    /// What each role says of itself.
    async fn readiness(&self) -> BTreeMap<Role, bool> {
        let mut readiness = BTreeMap::new();
        for role in Role::ALL {
            let answer = self.roles.admin(role).unwrap().get("/readyz").await.unwrap();
            readiness.insert(role, answer.status == 200);
        }
        readiness
    }

    /// Waits until every role that keeps data says that it cannot work.
    async fn says_that_it_cannot_work(&self) {
        until("the roles to say that they cannot work", async || {
            let readiness = self.readiness().await;
            KEEPERS.iter().all(|role| !readiness[role])
        })
        .await;
    }

    /// Sends an order of its own once. It is answered that it has to come again: later, or at once with the same key.
    async fn refuses_in_time(&self, key: u64) -> Purchase {
        let mut order = Purchase::of(key, 1, "user123", PLENTY, 1);
        let told = order.send(&self.roles.gateway(), "1500").await.cloned();
        let told = told.unwrap_or_else(|| panic!("not answered: {order:?}"));
        assert!(told.is_no_answer() && (told.has_retry_after || told.status == 504), "{told:?}");
        order
    }

    /// Waits until every role works again and orders end, then sees that everything is right. `more` are orders of the test.
    async fn recovers(self, more: Vec<Purchase>) {
        until("every role to work again", async || self.readiness().await.values().all(|ready| *ready)).await;
        self.end_more_orders(20).await;
        let mut purchases = self.load.stop().await;
        purchases.extend(more);
        let hung: u32 = purchases.iter().map(|purchase| purchase.unanswered).sum();
        assert_eq!(hung, 0, "requests that were not answered in time");
        let refused = purchases.iter().flat_map(|purchase| &purchase.told).filter(|told| told.is_no_answer());
        let refusals = refused.fold(BTreeMap::new(), |mut counts: BTreeMap<String, usize>, told| {
            *counts.entry(format!("{} {}", told.status, told.code)).or_default() += 1;
            counts
        });
        println!("refused meanwhile: {refusals:?}");
        everything_is_right(&self.roles, purchases).await;
    }
}

/// Whether an answer says that there is no room.
fn is_full(told: &Told) -> bool {
    told.status == 507 && told.code == "storage_full"
}
