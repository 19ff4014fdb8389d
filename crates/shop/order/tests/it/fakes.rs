//! An inventory and a payment service that follow a script, know what they have really done, and can be asked.
//!
//! What is not scripted succeeds. Both are idempotent by order, like the real ones.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Request, Response, Status};
use waypost_api::{
    Currency, Error, ErrorCode, Money, MoneyMessage,
    inventory::v1::{
        self as stock, CheckStockRequest, CommitRequest, Product, ReleaseRequest, ReleaseResponse,
        Reservation, ReservationState, ReserveRequest, inventory_service_server::InventoryService,
    },
    payment::v1::{
        AuthorizeRequest, CaptureRequest, GetPaymentRequest, Payment,
        PaymentState::{self, Authorized, Captured, Refunded, Voided},
        RefundRequest, VoidRequest,
        payment_service_server::PaymentService,
    },
};

/// How a call goes.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// No, with this code.
    Refuse(ErrorCode),
    /// Nothing is done, and something before the service answers this by itself.
    Stray(Code),
    /// Nothing is done.
    IsDown,
    /// It is done, and the answer is lost.
    LosesTheAnswer,
    /// It is done as soon as there is a permit.
    Waits(Arc<Semaphore>),
    /// It is never answered.
    Hangs,
}

/// What is to happen, and what was called.
#[derive(Debug)]
pub(crate) struct Script {
    acts: Mutex<HashMap<&'static str, VecDeque<Act>>>,
    calls: watch::Sender<Vec<String>>,
    epochs: Mutex<HashMap<String, u64>>,
}

impl Default for Script {
    fn default() -> Script {
        Script { acts: Mutex::default(), calls: watch::Sender::new(Vec::new()), epochs: Mutex::default() }
    }
}

impl Script {
    /// The next calls of a method go so.
    pub(crate) fn next(&self, method: &'static str, acts: impl IntoIterator<Item = Act>) {
        self.acts.lock().unwrap().entry(method).or_default().extend(acts);
    }

    /// The calls so far, as `method step:generation`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    /// How often a method was called.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.calls.borrow().iter().filter(|call| call.split(' ').next() == Some(method)).count()
    }

    /// Waits for the first call of a method.
    pub(crate) async fn called(&self, method: &str) {
        let mut calls = self.calls.subscribe();
        let called = calls.wait_for(|calls| calls.iter().any(|call| call.split(' ').next() == Some(method)));
        tokio::time::timeout(crate::shop::PATIENCE, called).await.expect("the call must come").unwrap();
    }

    /// The fence, as the real services have it.
    fn admit(&self, key: &str, lease_epoch: u64) -> Result<(), Error> {
        let Some((order, _)) = key.split_once(':') else { return Ok(()) };
        let mut seen = self.epochs.lock().unwrap();
        let highest = seen.entry(order.to_owned()).or_default();
        if lease_epoch < *highest {
            return Err(Error::of(ErrorCode::StaleRunner));
        }
        *highest = lease_epoch;
        Ok(())
    }

    /// The highest epoch of a runner of this order that was seen.
    pub(crate) fn epoch(&self, order: &str) -> u64 {
        self.epochs.lock().unwrap().get(order).copied().unwrap_or_default()
    }

    async fn perform<T>(
        &self,
        method: &'static str,
        key: &str,
        lease_epoch: u64,
        effect: impl FnOnce() -> Result<T, Error>,
    ) -> Result<Response<T>, Status> {
        let effect = || {
            self.admit(key, lease_epoch)?;
            effect()
        };
        let step = key.split_once(':').map_or(key, |(_, step)| step);
        self.calls.send_modify(|calls| calls.push(format!("{method} {step}").trim_end().to_owned()));
        let act = self.acts.lock().unwrap().get_mut(method).and_then(VecDeque::pop_front);
        match act {
            None => {}
            Some(Act::Refuse(code)) => {
                let code_of_provider =
                    if code == ErrorCode::PaymentDeclined { "insufficient_funds" } else { "" };
                return Err(Error::of(code).with_provider_code(code_of_provider).into());
            }
            Some(Act::Stray(code)) => return Err(Status::new(code, "not the service's word")),
            Some(Act::IsDown) => return Err(Status::unavailable("down")),
            Some(Act::LosesTheAnswer) => {
                let _ = effect();
                return Err(Error::of(ErrorCode::PaymentUnknown).into());
            }
            Some(Act::Waits(gate)) => gate.acquire().await.unwrap().forget(),
            Some(Act::Hangs) => std::future::pending().await,
        }
        Ok(Response::new(effect()?))
    }
}

/// What an order has of the stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Held(u32),
    Committed,
    Released,
    Expired(u32),
}

#[derive(Debug)]
pub(crate) struct FakeInventory {
    pub(crate) script: Script,
    pub(crate) price: Mutex<i64>,
    holds: Mutex<HashMap<String, Hold>>,
}

impl Default for FakeInventory {
    fn default() -> FakeInventory {
        FakeInventory { script: Script::default(), price: Mutex::new(499_950), holds: Mutex::default() }
    }
}

impl FakeInventory {
    pub(crate) fn hold(&self, order: &str) -> Option<Hold> {
        self.holds.lock().unwrap().get(order).copied()
    }

    /// The holds of all orders run out.
    pub(crate) fn expire_all(&self) {
        for hold in self.holds.lock().unwrap().values_mut() {
            if let Hold::Held(generation) = *hold {
                *hold = Hold::Expired(generation);
            }
        }
    }
}

fn generation(key: &str) -> u32 {
    key.rsplit(':').next().unwrap().parse().unwrap()
}

fn reservation(order_id: String, state: ReservationState) -> Reservation {
    Reservation { reservation_id: "r".to_owned(), order_id, state: state.into(), expires_at: None }
}

#[expect(clippy::unnecessary_wraps, reason = "the form that a message takes")]
fn dollars(ten_thousandths: i64) -> Option<MoneyMessage> {
    Some(Money::new(ten_thousandths, Currency::USD).into())
}

#[tonic::async_trait]
impl InventoryService for FakeInventory {
    async fn check_stock(&self, request: Request<CheckStockRequest>) -> Result<Response<Product>, Status> {
        let CheckStockRequest { product_id } = request.into_inner();
        self.script
            .perform("check_stock", "", 0, || {
                if product_id != "prod456" {
                    return Err(Error::of(ErrorCode::ProductNotFound));
                }
                let unit_price = dollars(*self.price.lock().unwrap());
                Ok(Product {
                    product_id,
                    name: "Trail backpack".to_owned(),
                    unit_price,
                    available: 1_000_000,
                })
            })
            .await
    }

    async fn reserve(&self, request: Request<ReserveRequest>) -> Result<Response<Reservation>, Status> {
        let ReserveRequest { order_id, key, lines, time_to_live, lease_epoch } = request.into_inner();
        assert!(time_to_live.is_some_and(|time| time.seconds > 0));
        self.script
            .perform("reserve", &key, lease_epoch, || {
                let stock::Line { unit_price, any_price, .. } = &lines[0];
                if !any_price && *unit_price != dollars(*self.price.lock().unwrap()) {
                    return Err(Error::of(ErrorCode::PriceChanged));
                }
                let mut holds = self.holds.lock().unwrap();
                match holds.get(&order_id) {
                    Some(Hold::Expired(expired)) if generation(&key) <= *expired => {
                        return Err(Error::of(ErrorCode::ReservationExpired));
                    }
                    Some(Hold::Released) => return Err(Error::of(ErrorCode::ReservationConflict)),
                    Some(Hold::Committed | Hold::Held(_)) => {}
                    None | Some(Hold::Expired(_)) => {
                        holds.insert(order_id.clone(), Hold::Held(generation(&key)));
                    }
                }
                Ok(reservation(order_id, ReservationState::Held))
            })
            .await
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Result<Response<Reservation>, Status> {
        let CommitRequest { order_id, key, lease_epoch } = request.into_inner();
        self.script
            .perform("commit", &key, lease_epoch, || {
                let mut holds = self.holds.lock().unwrap();
                match holds.get(&order_id) {
                    Some(Hold::Held(_) | Hold::Committed) => {}
                    Some(Hold::Expired(_)) => return Err(Error::of(ErrorCode::ReservationExpired)),
                    Some(Hold::Released) => return Err(Error::of(ErrorCode::ReservationConflict)),
                    other => panic!("commit of {order_id} with {other:?}"),
                }
                holds.insert(order_id.clone(), Hold::Committed);
                Ok(reservation(order_id, ReservationState::Committed))
            })
            .await
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<ReleaseResponse>, Status> {
        let ReleaseRequest { order_id, key, lease_epoch } = request.into_inner();
        self.script
            .perform("release", &key, lease_epoch, || {
                let mut holds = self.holds.lock().unwrap();
                if holds.get(&order_id) == Some(&Hold::Committed) {
                    return Err(Error::of(ErrorCode::ReservationConflict));
                }
                let before = holds.insert(order_id.clone(), Hold::Released);
                Ok(ReleaseResponse { released: matches!(before, Some(Hold::Held(_))) })
            })
            .await
    }
}

/// What an order has paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paid {
    pub(crate) state: PaymentState,
    pub(crate) amount: i64,
    /// How often the provider took money.
    pub(crate) captures: u32,
}

#[derive(Debug, Default)]
pub(crate) struct FakePayments {
    pub(crate) script: Script,
    /// Whether its answers name a state that only a later version knows.
    pub(crate) is_of_a_later_version: AtomicBool,
    payments: Mutex<HashMap<String, Paid>>,
}

impl FakePayments {
    pub(crate) fn paid(&self, order: &str) -> Option<Paid> {
        self.payments.lock().unwrap().get(order).cloned()
    }

    /// How many orders have been charged.
    pub(crate) fn charged(&self) -> usize {
        self.payments.lock().unwrap().values().filter(|paid| paid.captures > 0).count()
    }

    fn change(
        &self,
        order_id: String,
        change: impl FnOnce(&mut Paid) -> Result<(), ErrorCode>,
    ) -> Result<Payment, Error> {
        let mut payments = self.payments.lock().unwrap();
        let paid = payments.entry(order_id.clone()).or_insert(Paid { state: Voided, amount: 0, captures: 0 });
        change(paid)?;
        let transaction_id = format!("ch_{}", &order_id[order_id.len() - 8..]);
        let state = if self.is_of_a_later_version.load(Ordering::Relaxed) { 99 } else { paid.state.into() };
        Ok(Payment { order_id, state, transaction_id, ..Payment::default() })
    }
}

#[tonic::async_trait]
impl PaymentService for FakePayments {
    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Result<Response<Payment>, Status> {
        let request = request.into_inner();
        self.script
            .perform("authorize", &request.key, request.lease_epoch, || {
                let amount = request.amount.clone().unwrap().ten_thousandths;
                let mut payments = self.payments.lock().unwrap();
                payments.entry(request.order_id.clone()).or_insert(Paid {
                    state: Authorized,
                    amount,
                    captures: 0,
                });
                drop(payments);
                self.change(request.order_id.clone(), |_| Ok(()))
            })
            .await
    }

    async fn capture(&self, request: Request<CaptureRequest>) -> Result<Response<Payment>, Status> {
        let CaptureRequest { order_id, key, lease_epoch } = request.into_inner();
        self.script
            .perform("capture", &key, lease_epoch, || {
                self.change(order_id, |paid| match paid.state {
                    Captured => Ok(()),
                    Authorized => {
                        paid.state = Captured;
                        paid.captures += 1;
                        Ok(())
                    }
                    _ => Err(ErrorCode::PaymentConflict),
                })
            })
            .await
    }

    async fn void(&self, request: Request<VoidRequest>) -> Result<Response<Payment>, Status> {
        let VoidRequest { order_id, key, lease_epoch } = request.into_inner();
        self.script
            .perform("void", &key, lease_epoch, || {
                self.change(order_id, |paid| {
                    paid.state = if paid.captures > 0 { Refunded } else { Voided };
                    Ok(())
                })
            })
            .await
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<Payment>, Status> {
        let RefundRequest { order_id, key, amount, lease_epoch } = request.into_inner();
        self.script
            .perform("refund", &key, lease_epoch, || {
                self.change(order_id, |paid| {
                    assert_eq!(amount, dollars(paid.amount));
                    paid.state = Refunded;
                    Ok(())
                })
            })
            .await
    }

    async fn get_payment(&self, _: Request<GetPaymentRequest>) -> Result<Response<Payment>, Status> {
        Err(Error::of(ErrorCode::PaymentNotFound).into())
    }
}
