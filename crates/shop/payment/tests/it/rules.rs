//! The rules under random sequences of requests, answers, rejections, stale answers and silence: I8 and I9
//! hold after every step, no charge that lies at the provider is forgotten, and once every answer has arrived and
//! what nobody wants is given back, our books are the provider's.

use crate::world::{AMOUNT, Timed, assert_sound, at, charge, dollars, intent, order, sqlite};
use proptest::prelude::*;
use std::collections::HashMap;
use waypost_api::{Currency, Timestamp};
use waypost_durable::Epoch;
use waypost_payment::{
    Error,
    domain::{
        Charge, ChargeStatus, Finding, Generation, NewRefund, Payment, PaymentState, RefundState, ReviewTimes,
    },
    store::RefundOutcome,
};

const NAMES: [&str; 3] = ["one", "two", "three"];

#[derive(Clone, Debug)]
enum Step {
    Begin {
        order: usize,
        generation: u32,
    },
    /// The provider takes the newest payment's charge on; the answer gets lost.
    Charge {
        order: usize,
        declines: bool,
    },
    /// The provider says no to the charge, for good or after an earlier try without an answer, whose charge may be there
    /// already or may come later.
    Reject {
        order: usize,
        after_open_try: bool,
    },
    /// The provider takes the amount, if we hold it; the answer gets lost.
    Capture {
        order: usize,
    },
    /// The provider gives the charge up, if we gave the payment up; the answer gets lost.
    Void {
        order: usize,
    },
    GiveUp {
        order: usize,
        generation: u32,
    },
    /// A refund is begun and reaches the provider; the answer gets lost.
    Refund {
        order: usize,
        number: u32,
        amount: i64,
    },
    /// A refund is begun and the provider says no.
    RejectRefund {
        order: usize,
        number: u32,
        amount: i64,
    },
    /// What was taken of an unwanted payment is given back.
    GiveBack {
        order: usize,
    },
    /// One of the answers so far arrives.
    Arrive {
        order: usize,
        which: prop::sample::Index,
    },
    Silence {
        order: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let order = 0..NAMES.len();
    prop_oneof![
        3 => (order.clone(), 1..3_u32).prop_map(|(order, generation)| Step::Begin { order, generation }),
        3 => (order.clone(), prop::bool::weighted(0.2)).prop_map(|(order, declines)| Step::Charge { order, declines }),
        2 => (order.clone(), any::<bool>())
            .prop_map(|(order, after_open_try)| Step::Reject { order, after_open_try }),
        3 => order.clone().prop_map(|order| Step::Capture { order }),
        1 => order.clone().prop_map(|order| Step::Void { order }),
        1 => (order.clone(), 1..3_u32).prop_map(|(order, generation)| Step::GiveUp { order, generation }),
        2 => (order.clone(), 0..4_u32, 1..AMOUNT)
            .prop_map(|(order, number, amount)| Step::Refund { order, number, amount }),
        2 => (order.clone(), 0..4_u32, 1..AMOUNT)
            .prop_map(|(order, number, amount)| Step::RejectRefund { order, number, amount }),
        1 => order.clone().prop_map(|order| Step::GiveBack { order }),
        6 => (order.clone(), any::<prop::sample::Index>()).prop_map(|(order, which)| Step::Arrive { order, which }),
        1 => order.prop_map(|order| Step::Silence { order }),
    ]
}

/// What the provider has and has answered, for one payment.
#[derive(Default)]
struct Account {
    now: Option<Charge>,
    answers: Vec<Charge>,
    /// It said no to the only try: no charge comes any more.
    is_rejected: bool,
    /// Keys of refunds that were carried out.
    refunds: Vec<String>,
}

impl Account {
    fn is(&mut self, charge: Charge) {
        self.answers.push(charge.clone());
        self.now = Some(charge);
    }
}

struct World {
    store: Timed,
    accounts: HashMap<(usize, Generation), Account>,
    now: Timestamp,
}

impl World {
    async fn newest(&self, number: usize) -> Option<Payment> {
        self.store.newest(order(NAMES[number])).await.unwrap()
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Begin { order, generation } => {
                let _refused = self.store.when(self.now).begin(intent(NAMES[order], generation)).await;
            }
            Step::GiveUp { order: number, generation } => {
                let generation = Generation::new(generation);
                let _refused =
                    self.store.when(self.now).give_up(order(NAMES[number]), generation, Epoch::FIRST).await;
            }
            Step::Charge { order, declines } => self.charge(order, declines).await,
            Step::Capture { order } => {
                self.change(order, ChargeStatus::Captured, |payment| {
                    payment.state == PaymentState::Authorized && !payment.is_unwanted
                })
                .await;
            }
            Step::Void { order } => {
                self.change(order, ChargeStatus::Voided, |payment| {
                    payment.is_unwanted
                        || matches!(payment.state, PaymentState::Voided | PaymentState::Declined)
                })
                .await;
            }
            Step::Reject { order, after_open_try } => self.reject(order, after_open_try).await,
            Step::Refund { order, number, amount } => {
                self.refund(order, &format!("{}:refund:{number}", NAMES[order]), amount).await;
            }
            Step::RejectRefund { order, number, amount } => self.reject_refund(order, number, amount).await,
            Step::GiveBack { order } => self.give_back(order).await,
            Step::Arrive { order, which } => {
                let Some(payment) = self.newest(order).await else { return };
                let account = self.accounts.entry((order, payment.generation)).or_default();
                if !account.answers.is_empty() {
                    let answer = which.get(&account.answers).clone();
                    self.record(&payment, Finding::Charge(answer)).await.unwrap();
                }
            }
            Step::Silence { order } => {
                if let Some(payment) = self.newest(order).await {
                    let is_known = self.accounts.contains_key(&(order, payment.generation));
                    let finding = if is_known { Finding::NoAnswer } else { Finding::Absent };
                    self.record(&payment, finding).await.unwrap();
                }
            }
        }
    }

    async fn record(&self, payment: &Payment, finding: Finding) -> Result<Payment, Error> {
        self.store.when(self.now).record_of(payment.clone(), finding).await
    }

    async fn charge(&mut self, number: usize, declines: bool) {
        let Some(payment) = self.newest(number).await else { return };
        let account = self.accounts.entry((number, payment.generation)).or_default();
        if account.now.is_none() && !account.is_rejected {
            let status = if declines { ChargeStatus::Declined } else { ChargeStatus::Authorized };
            account.is(charge(&payment, status, 0));
        }
    }

    /// Moves an authorised charge on, if our payment is one for which we would ask for that.
    async fn change(&mut self, number: usize, status: ChargeStatus, would_ask: impl Fn(&Payment) -> bool) {
        let Some(payment) = self.newest(number).await.filter(would_ask) else { return };
        let account = self.accounts.entry((number, payment.generation)).or_default();
        if account.now.as_ref().is_some_and(|charge| charge.status == ChargeStatus::Authorized) {
            account.is(charge(&payment, status, 0));
        }
    }

    async fn reject(&mut self, number: usize, after_open_try: bool) {
        let Some(payment) = self.newest(number).await else { return };
        let account = self.accounts.entry((number, payment.generation)).or_default();
        let after_open_try = after_open_try || account.now.is_some();
        account.is_rejected |= !after_open_try;
        let finding = Finding::Rejected { code: "card_declined".to_owned(), after_open_try };
        self.record(&payment, finding).await.unwrap();
    }

    async fn refund(&mut self, number: usize, key: &str, amount: i64) {
        let request = NewRefund { order: order(NAMES[number]), key: key.to_owned(), amount: dollars(amount) };
        let Ok(begun) = self.store.when(self.now).begin_refund(request.clone(), Some(Epoch::FIRST)).await
        else {
            return;
        };
        let account = self.accounts.entry((number, begun.payment.generation)).or_default();
        let Some(charge) = &account.now else { panic!("a refund of nothing: {begun:?}") };
        let provider_key = begun.refund.provider_key();
        if begun.refund.state == RefundState::Pending && !account.refunds.contains(&provider_key) {
            let refunded = charge.refunded + begun.refund.request.amount.ten_thousandths();
            // I8: the provider never has to refuse.
            assert!(refunded <= charge.captured, "{begun:?}");
            let status =
                if refunded == charge.captured { ChargeStatus::Refunded } else { ChargeStatus::Captured };
            let charge = Charge { refunded, status, ..charge.clone() };
            account.refunds.push(provider_key);
            account.is(charge.clone());
            let (number, done) = (begun.refund.number, RefundOutcome::Done(charge));
            self.store.when(self.now).end_refund(key.to_owned(), number, done.clone()).await.unwrap();
        }
    }

    async fn reject_refund(&mut self, number: usize, count: u32, amount: i64) {
        let key = format!("{}:refund:{count}", NAMES[number]);
        let request = NewRefund { order: order(NAMES[number]), key: key.clone(), amount: dollars(amount) };
        let Ok(begun) = self.store.when(self.now).begin_refund(request.clone(), Some(Epoch::FIRST)).await
        else {
            return;
        };
        let counts = begun.refund.may_be_rejected(begun.is_new, self.now, &ReviewTimes::default());
        let outcome = if counts { RefundOutcome::Rejected } else { RefundOutcome::NoAnswer };
        let number = begun.refund.number;
        self.store.when(self.now).end_refund(key.clone(), number, outcome.clone()).await.unwrap();
    }

    async fn give_back(&mut self, number: usize) {
        let Some(payment) = self.newest(number).await else { return };
        if payment.is_unwanted && payment.state == PaymentState::Captured {
            let key = format!("{}:refund-unwanted-{}:1", NAMES[number], payment.refunded);
            self.refund(number, &key, payment.captured - payment.refunded).await;
        }
    }

    /// I10: what lies at the provider and is not wanted is still looked for, for long enough.
    async fn assert_nothing_is_forgotten(&self) {
        let due = self.store.when(at(10_000_000)).due(1_000).await.unwrap();
        for ((number, generation), account) in &self.accounts {
            let Some(charge) = &account.now else { continue };
            let is_due = due
                .payments
                .iter()
                .any(|payment| (&payment.order, payment.generation) == (&order(NAMES[*number]), *generation));
            let newest = self.newest(*number).await.filter(|newest| newest.generation == *generation);
            let is_owed = charge.status == ChargeStatus::Captured
                && newest
                    .is_some_and(|payment| payment.is_unwanted && payment.state == PaymentState::Captured);
            assert!(is_due || !(charge.status == ChargeStatus::Authorized || is_owed), "forgot {charge:?}");
        }
    }

    /// Every account's last word arrives, and what nobody wants is voided; after that our books are the provider's.
    async fn heal(&self) {
        let (mut captured, mut refunded) = (0, 0);
        for ((number, generation), account) in &self.accounts {
            let Some(charge) = &account.now else { continue };
            captured += charge.captured;
            refunded += charge.refunded;
            let name = order(NAMES[*number]);
            let finding = Finding::Charge(charge.clone());
            let payment =
                self.store.when(self.now).record(name.clone(), *generation, finding.clone()).await.unwrap();
            let is_over = matches!(payment.state, PaymentState::Voided | PaymentState::Declined);
            if is_over && charge.status == ChargeStatus::Authorized {
                let voided = Finding::Charge(Charge { status: ChargeStatus::Voided, ..charge.clone() });
                let settled =
                    self.store.when(self.now).record(name.clone(), *generation, voided.clone()).await;
                assert_eq!(settled.unwrap().review_at, None, "settled and looked for again");
            }
        }
        let totals = self.store.totals(Currency::USD).await.unwrap();
        assert_eq!((totals.captured, totals.refunded), (captured, refunded));
        assert_eq!(totals.receivable, captured - refunded);
    }
}

async fn run(steps: Vec<Step>) {
    let mut world = World { store: sqlite(), accounts: HashMap::new(), now: at(0) };
    for (number, step) in steps.into_iter().enumerate() {
        world.now = at(i64::try_from(number).unwrap());
        world.take(step).await;
        assert_sound(&*world.store, &NAMES).await;
        world.assert_nothing_is_forgotten().await;
    }
    world.heal().await;
}

proptest! {
    // A sequence that fails is printed whole, at its shortest; nothing is written into the source tree.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn our_books_become_the_providers_whatever_gets_lost_or_comes_late(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
