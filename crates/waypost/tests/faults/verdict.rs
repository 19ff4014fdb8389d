//! What is wrong once everything has settled: in the books, and between the books and what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep, timeout};
use waypost_testkit::audit::{Books, Finding, Order};
use waypost_testkit::{Client, Roles, until};

use crate::course::{Purchase, Told};

/// Requests at once.
const CLIENTS: usize = 16;
/// How long the books may take to become right after the last fault.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(45);
/// Seeds of which a failing test shows what the proxies did.
const SHOWN_SEEDS: usize = 8;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wrong {
    /// What kind of thing it is, to count by.
    kind: String,
    seed: Option<(u64, u32)>,
    what: String,
}

/// Stops the faults, lets everything settle, asks every key once more, and fails with all that is wrong.
pub(crate) async fn everything_is_right(roles: &Roles, purchases: Vec<Purchase>) {
    roles.weather().set_foul(false);
    until("the proxies to have sent what they hold back", async || roles.is_idle()).await;
    let read = async || (roles.data().audit().await, roles.data().books().await);
    let verdict = Verdict::reached(&roles.gateway(), read, purchases).await;
    println!("faults: {:?}", roles.faults());
    let seen = |seed, order| roles.seen(seed, order).iter().map(ToString::to_string).collect();
    assert!(verdict.wrong.is_empty(), "{}", verdict.report(seen));
}

/// Once everything has settled.
pub(crate) struct Verdict {
    pub(crate) purchases: Vec<Purchase>,
    pub(crate) books: Books,
    wrong: Vec<Wrong>,
}

impl Verdict {
    /// Asks every key once more, and waits until `read` finds nothing wrong in the books or has done so for long enough.
    pub(crate) async fn reached(
        gateway: &Client,
        read: impl AsyncFn() -> (anyhow::Result<Vec<Finding>>, anyhow::Result<Books>),
        purchases: Vec<Purchase>,
    ) -> Verdict {
        let begun = Instant::now();
        let asking = stream::iter(purchases).map(|purchase| asked_again(gateway, purchase));
        let purchases: Vec<Purchase> = asking.buffer_unordered(CLIENTS).collect().await;

        let end = Instant::now() + SETTLE_TIMEOUT;
        let (mut findings, mut books) = read().await;
        while !findings.as_ref().is_ok_and(Vec::is_empty) && Instant::now() < end {
            sleep(Duration::from_millis(250)).await;
            (findings, books) = read().await;
        }
        let (findings, books) = (findings.unwrap(), books.unwrap());
        let mut wrong: Vec<Wrong> =
            purchases.iter().flat_map(|purchase| of_answers(purchase, &books)).collect();
        wrong.extend(of_keys(&purchases, &books));
        let by_order: BTreeMap<&str, &Purchase> = purchases
            .iter()
            .flat_map(|purchase| {
                purchase.told.iter().filter_map(move |told| Some((told.order.as_deref()?, purchase)))
            })
            .collect();
        wrong.extend(findings.into_iter().map(|finding| {
            let purchase = finding.order.as_deref().and_then(|order| by_order.get(order));
            let kind = format!("books, {}", finding.guarantee);
            Wrong { kind, seed: purchase.map(|purchase| purchase.place()), what: finding.to_string() }
        }));
        println!("{} orders, settled within {:?}", purchases.len(), begun.elapsed());
        println!("ended: {:?}", endings(&books));
        wrong.sort();
        Verdict { purchases, books, wrong }
    }

    /// Fails with all that is wrong.
    pub(crate) fn assert_right(&self) {
        assert!(self.wrong.is_empty(), "{}", self.report(|_, _| Vec::new()));
    }

    /// All that is wrong, with what was `seen` of one order of each kind.
    fn report(&self, seen: impl Fn(u64, u32) -> Vec<String>) -> String {
        let mut text = String::new();
        let mut kinds: BTreeMap<&str, Vec<&Wrong>> = BTreeMap::new();
        for one in &self.wrong {
            kinds.entry(&one.kind).or_default().push(one);
        }
        for (kind, all) in &kinds {
            let _ = writeln!(text, "\n{} x {kind}", all.len());
            for one in all.iter().take(12) {
                let seed =
                    one.seed.map(|(seed, order)| format!("SEED={seed} order {order}: ")).unwrap_or_default();
                let _ = writeln!(text, "  {seed}{}", one.what);
            }
        }
        // One of each kind, so that no kind hides the others.
        let shown = kinds.values().filter_map(|all| all.iter().find_map(|one| one.seed)).take(SHOWN_SEEDS);
        for (seed, order) in shown.collect::<BTreeSet<_>>() {
            let _ = writeln!(text, "\nSEED={seed} order {order}");
            for seen in seen(seed, order) {
                let _ = writeln!(text, "  {seen}");
            }
            let of_order = |purchase: &&Purchase| purchase.place() == (seed, order);
            for told in self.purchases.iter().filter(of_order).flat_map(|purchase| &purchase.told) {
                let _ = writeln!(text, "  told {}", told.summary());
            }
        }
        text
    }
}

/// Until its answer is definite, and then once more.
async fn asked_again(gateway: &Client, mut purchase: Purchase) -> Purchase {
    let before = purchase.told.len();
    let answered = async {
        while !purchase.told.iter().skip(before).any(Told::is_settled) {
            if purchase.send(gateway, purchase.timeouts.of_others).await.is_none_or(|told| !told.is_settled())
            {
                sleep(Duration::from_millis(200)).await;
            }
        }
    };
    // What has no answer after this is found by `of_answers`.
    let _ = timeout(SETTLE_TIMEOUT, answered).await;
    purchase.send(gateway, purchase.timeouts.of_others).await;
    purchase
}

/// I2, I7: what one client was told, against itself and against the books.
fn of_answers(purchase: &Purchase, books: &Books) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut say = |kind: &str, what: String| {
        wrong.push(Wrong { kind: kind.to_owned(), seed: Some(purchase.place()), what });
    };
    let Some(settled) = purchase.settled() else {
        let last = purchase.told.last();
        say("no definite answer", format!("the last one was {last:?}"));
        return wrong;
    };
    for told in &purchase.told {
        let summary = told.summary();
        if told.order.is_some() && told.order != settled.order {
            say("two orders for one key", format!("{summary} and {}", settled.summary()));
        }
        if told.is_settled() && (told.has_retry_after || matches!(told.status, 429 | 503 | 504 | 507)) {
            say("a settled order is to be tried again", summary.clone());
        }
        if told.order.is_none() && !told.is_no_answer() {
            say(
                "refused, though it is an order",
                format!("{summary}; another answer was {}", settled.summary()),
            );
        }
    }
    let later = purchase.told.iter().skip_while(|told| !told.is_settled());
    for told in later.filter(|told| !told.is_no_answer() || told.is_in_use()) {
        if (told.status, &told.body) != (settled.status, &settled.body) {
            say("a replay that differs", difference(settled, told));
        }
    }
    let Some(order) = settled.order.as_ref().and_then(|order| books.orders.get(order)) else {
        say("an order that is not there", settled.summary());
        return wrong;
    };
    let told_status = settled.order_status.as_deref().unwrap_or("failed");
    if order.status != told_status {
        say("told other than it is", format!("{}, but it is {}", settled.summary(), order.status));
    }
    if let Some(end) = purchase.end.filter(|end| *end != order.status) {
        say("ended as it should not", format!("{} and not {end}", settled.summary()));
    }
    for told in &purchase.told_of_cancel {
        let is_so = match (told.status, told.order_status.as_deref()) {
            (200, Some("cancelled")) => order.status == "cancelled",
            (409, _) if told.code == "order_not_cancellable" => order.status != "cancelled",
            _ => true,
        };
        if !is_so {
            say("told other than it is", format!("cancel: {}, but it is {}", told.summary(), order.status));
        }
    }
    wrong
}

/// I1: each key has its order and each order its key.
fn of_keys(purchases: &[Purchase], books: &Books) -> Vec<Wrong> {
    let known: BTreeSet<&String> =
        purchases.iter().flat_map(|purchase| &purchase.told).filter_map(|told| told.order.as_ref()).collect();
    // Of what has not ended no key can tell yet; that it has not is found elsewhere.
    let ended = books.orders.values().filter(|order| order.is_settled());
    let nobodys = ended.filter(|order| !known.contains(&order.id));
    let wrong = |order: &Order| Wrong {
        kind: "an order that no key leads to".to_owned(),
        seed: None,
        what: format!("{order:?}"),
    };
    nobodys.map(wrong).collect()
}

/// The first place where two answers differ, as a reader would look for it.
fn difference(first: &Told, later: &Told) -> String {
    let same = first.body.chars().zip(later.body.chars()).take_while(|(one, other)| one == other).count();
    let part = |told: &Told| told.body.chars().skip(same.saturating_sub(20)).take(60).collect::<String>();
    format!("{} ..{}..\n    and before {} ..{}..", later.summary(), part(later), first.summary(), part(first))
}

fn endings(books: &Books) -> BTreeMap<String, usize> {
    let mut endings = BTreeMap::new();
    for order in books.orders.values() {
        let code = order.failure_code.as_deref().unwrap_or_default();
        *endings.entry(format!("{} {code}", order.status).trim_end().to_owned()).or_default() += 1;
    }
    let refunded = books.charges.iter().filter(|charge| charge.refunded > 0).count();
    endings.insert("(refunded)".to_owned(), refunded);
    endings
}

impl Purchase {
    fn place(&self) -> (u64, u32) {
        (self.seed, self.number)
    }
}

impl Told {
    pub(crate) fn summary(&self) -> String {
        let Told { status, code, order, order_status, is_replay, has_retry_after, .. } = self;
        let replayed = if *is_replay { ", replayed" } else { "" };
        let again = if *has_retry_after { ", Retry-After" } else { "" };
        let order = order.as_deref().unwrap_or("no order");
        format!("{status} {code}{}{replayed}{again} ({order})", order_status.as_deref().unwrap_or_default())
    }
}
