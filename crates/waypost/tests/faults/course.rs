//! One course: a few orders of one seed, as a client places them that repeats what was not answered.

use std::time::Duration;

use futures_util::future::join_all;
use waypost_testkit::proxy::Marker;
use waypost_testkit::{Answer, Client};

use crate::shop::{PLENTY, PRICE, tight};

/// How often a request is sent while it is not known how it ended; further sendings wait for fair weather.
const MAX_SENDS: u32 = 8;
/// Before the second sending; longer before each further one.
const RESEND_PAUSE: Duration = Duration::from_millis(200);
/// How long the gateway may wait for the end of an order, in milliseconds.
pub(crate) const TIMEOUT: &str = "1500";
/// Longer than the gateway takes for any answer; without one the connection is as good as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the gateway may wait for the end of an order, in milliseconds: what each request of a course says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// Of an order that is to be cancelled while it is under way.
    pub(crate) of_cancelled: &'static str,
    pub(crate) of_others: &'static str,
}

impl Timeouts {
    /// Orders with trouble are seen while they run. On a busy machine the answer that an order was accepted may come too late.
    pub(crate) const SHORT: Self = Self { of_cancelled: "600", of_others: TIMEOUT };
    /// A machine may be busy for seconds, and each request is still answered.
    pub(crate) const LONG: Self = Self { of_cancelled: "1500", of_others: "6000" };
}

/// One order and all that its client was told of it.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) seed: u64,
    pub(crate) number: u32,
    pub(crate) body: String,
    pub(crate) told: Vec<Told>,
    pub(crate) told_of_cancel: Vec<Told>,
    /// How it has to end, where that is known.
    pub(crate) end: Option<&'static str>,
    /// Sendings that were not answered at all in time.
    pub(crate) unanswered: u32,
    sends: u32,
    begins_after: Duration,
    cancels: bool,
    replays: bool,
    pub(crate) timeouts: Timeouts,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Which sending of the request it answers, from 1.
    pub(crate) sending: u32,
    pub(crate) status: u16,
    /// Of a problem.
    pub(crate) code: String,
    pub(crate) order: Option<String>,
    /// Of an order.
    pub(crate) order_status: Option<String>,
    pub(crate) is_replay: bool,
    pub(crate) has_retry_after: bool,
    pub(crate) body: String,
}

/// Places the orders of a seed side by side.
pub(crate) async fn course(seed: u64, gateway: Client) -> Vec<Purchase> {
    course_within(Timeouts::SHORT, seed, gateway).await
}

/// The same, each request with so much time.
pub(crate) async fn course_within(timeouts: Timeouts, seed: u64, gateway: Client) -> Vec<Purchase> {
    let mut random = fastrand::Rng::with_seed(seed);
    let purchases = (1..=random.u32(1..=3)).map(|number| {
        let purchase = Purchase::random(seed, number, &mut random);
        Purchase { timeouts, ..purchase }
    });
    let purchases: Vec<Purchase> = purchases.collect();
    join_all(purchases.into_iter().map(|purchase| purchase.placed(&gateway))).await
}

impl Purchase {
    fn random(seed: u64, number: u32, random: &mut fastrand::Rng) -> Purchase {
        let cancels = random.u32(..4) == 0;
        let user = match random.u32(..if cancels { 6 } else { 20 }) {
            0..2 => "user-slow",
            2..4 => "user-timeout",
            4..6 => "user-timeout-before",
            6..8 => "user-declined",
            _ => "user123",
        };
        let product = if random.u32(..10) < 4 { tight(seed) } else { PLENTY.to_owned() };
        let mut purchase = Purchase::of(seed, number, user, &product, random.u32(1..=2));
        (purchase.cancels, purchase.replays) = (cancels, random.bool());
        // Not all at once: who comes later may take the stock that an order with trouble let go.
        purchase.begins_after = Duration::from_millis(random.u64(..1200)) * (number - 1);
        purchase
    }

    /// An order that is neither cancelled nor sent again once it has its answer.
    pub(crate) fn of(seed: u64, number: u32, user: &str, product: &str, quantity: u32) -> Purchase {
        let amount = PRICE * quantity;
        let body = format!(
            r#"{{"user_id":"{user}","product_id":"{product}","quantity":{quantity},"amount":{amount}.00}}"#
        );
        Purchase {
            seed,
            number,
            body,
            told: Vec::new(),
            told_of_cancel: Vec::new(),
            end: None,
            unanswered: 0,
            sends: 0,
            begins_after: Duration::ZERO,
            cancels: false,
            replays: false,
            timeouts: Timeouts::SHORT,
        }
    }

    pub(crate) fn key(&self) -> String {
        format!("seed-{}-order-{}", self.seed, self.number)
    }

    /// The first answer that says how it ended.
    pub(crate) fn settled(&self) -> Option<&Told> {
        self.told.iter().find(|told| told.is_settled())
    }

    /// The same, sent once more when it has its answer.
    pub(crate) fn replaying(self) -> Purchase {
        Purchase { replays: true, ..self }
    }

    /// The same, placed later.
    pub(crate) fn beginning_after(self, begins_after: Duration) -> Purchase {
        Purchase { begins_after, ..self }
    }

    /// The same, which has to end with this status.
    pub(crate) fn ending(self, end: &'static str) -> Purchase {
        Purchase { end: Some(end), ..self }
    }

    pub(crate) async fn placed(mut self, gateway: &Client) -> Purchase {
        tokio::time::sleep(self.begins_after).await;
        while self.sends < MAX_SENDS {
            let Timeouts { of_cancelled, of_others } = self.timeouts;
            let timeout = if self.cancels && self.sends == 0 { of_cancelled } else { of_others };
            self.send(gateway, timeout).await;
            if self.settled().is_some() {
                break;
            }
            if self.cancels
                && let Some(order) = self.told.iter().find_map(|told| told.order.clone())
            {
                self.cancel(gateway, &order).await;
            }
            tokio::time::sleep(RESEND_PAUSE * self.sends).await;
        }
        if self.replays && self.settled().is_some() {
            self.send(gateway, self.timeouts.of_others).await;
        }
        self
    }

    /// Sends the request once more and keeps what is answered, if anything is.
    pub(crate) async fn send(&mut self, gateway: &Client, timeout: &str) -> Option<&Told> {
        let headers = [
            ("idempotency-key", self.key()),
            ("traceparent", self.next_marker().traceparent()),
            ("x-waypost-timeout-ms", timeout.to_owned()),
        ];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, gateway.post("/api/orders", &headers, &self.body));
        let Ok(answer) = answer.await else {
            self.unanswered += 1;
            return None;
        };
        self.told.push(Told::of(&answer.ok()?, self.sends));
        self.told.last()
    }

    async fn cancel(&mut self, gateway: &Client, order: &str) {
        let traceparent = self.next_marker().traceparent();
        let path = format!("/api/orders/{order}/cancel");
        let headers = [("traceparent", traceparent.as_str())];
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, gateway.post(&path, &headers, ""));
        if let Ok(Ok(answer)) = answer.await {
            self.told_of_cancel.push(Told::of(&answer, self.sends));
        }
    }

    /// Each sending has a trace of its own, as the retry of a real client does.
    fn next_marker(&mut self) -> Marker {
        self.sends += 1;
        Marker { seed: self.seed, order: self.number, send: self.sends }
    }
}

impl Told {
    fn of(answer: &Answer, sending: u32) -> Told {
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let located = header("location").and_then(|path| path.strip_prefix("/api/orders/"));
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Told {
            sending,
            status: answer.status.as_u16(),
            code: text(&answer.json["code"]).unwrap_or_default(),
            order: text(&answer.json["order_id"]).or_else(|| located.map(str::to_owned)),
            order_status: text(&answer.json["status"]),
            is_replay: header("idempotent-replayed").is_some(),
            has_retry_after: header("retry-after").is_some(),
            body: String::from_utf8_lossy(&answer.bytes).into_owned(),
        }
    }

    /// It says how an order ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.order.is_some() && self.status != 202
    }

    /// It says nothing of the order: ask again.
    pub(crate) fn is_no_answer(&self) -> bool {
        self.order.is_none() && (self.status >= 500 || self.has_retry_after || self.status == 408)
    }

    pub(crate) fn is_in_use(&self) -> bool {
        self.code == "idempotency_key_in_use"
    }
}
