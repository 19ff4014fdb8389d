//! What the service does for its callers.
//!
//! An order is accepted by one unit (order, first facts of the saga, the client's key) and carried on by its saga. The
//! caller waits for the end for as long as its deadline allows and is then told how the order stands; the order goes
//! on without it.

use crate::{
    Error,
    catalogue::Catalogue,
    domain::{Cursor, Order, Origin, TokenKey, Viewer, check_amount},
    running::{Accepted, Sagas},
    store::{Cancelling, Placed, Store},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{OnceCell, watch},
    time::{Instant, timeout, timeout_at},
};
use uuid::Uuid;
use waypost_api::attributes::{ORDER_ID, ORDER_STATUS, PAYMENT_TRANSACTION_ID, PRODUCT_ID, USER_ID};
use waypost_api::{Charge, ErrorCode, Money, OrderId, OrderStatus, ProductId, Timestamp, UserId};
use waypost_durable::{Clock, idempotency::Key};
use waypost_resilience::deadline;
use waypost_telemetry::{
    opentelemetry::{
        Context,
        trace::{SpanContext, TraceContextExt as _},
    },
    propagation, set, span, trace_id,
};

/// When a repeated request should ask again whose first one is still running.
const IN_USE_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Pauses between two looks at an order that another process runs.
const FIRST_LOOK: Duration = Duration::from_millis(25);
const LONGEST_LOOK: Duration = Duration::from_millis(200);

/// A wish to order, read and checked for form.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Who asks.
    pub caller: Viewer,
    /// For whom.
    pub user: UserId,
    /// What.
    pub product: ProductId,
    /// How many.
    pub quantity: u32,
    /// The total that the client expects.
    pub amount: Money,
    /// The provider's token of the user's means of payment.
    pub payment_method: String,
    /// The client's key, if it sent one.
    pub key: Option<Key>,
    /// The caller asks again, as it had no answer. It waits for an order of its key that runs already.
    pub is_repeat: bool,
}

/// An order, and whether it had been created by an earlier request with the same key.
#[derive(Debug, Clone)]
pub struct Created {
    /// The order as it stands.
    pub order: Order,
    /// True when nothing was created now.
    pub replayed: bool,
}

/// Which page is asked for.
#[derive(Debug, Clone)]
pub struct PageOf {
    /// Whose orders.
    pub user: UserId,
    /// How many.
    pub size: u32,
    /// `next_token` of the page before; empty for the first.
    pub token: String,
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// From the newest to the oldest.
    pub orders: Vec<Order>,
    /// Leads to the next page; `None` on the last one.
    pub next_token: Option<String>,
}

/// How long callers are kept waiting.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// The longest wait for an order's end when the caller has no deadline.
    pub max: Duration,
    /// What is kept back of the caller's deadline, so that the answer still arrives.
    pub margin: Duration,
    /// What is kept back besides for each caller that waits already: an answer is work, and those whose deadlines are the
    /// same would all be answered at one moment, the last of them too late.
    pub spacing: Duration,
}

impl Waiting {
    /// How long a caller waits who has so much time left, or no deadline, beside so many others, after its request took so
    /// long to be accepted. A machine that is slow to take requests on is as slow to answer them, and the answer passes the
    /// gateway too. A caller waits for half of its time at least.
    fn of(&self, left: Option<Duration>, took: Duration, others: usize) -> Duration {
        let Some(left) = left else { return self.max };
        let time = left.saturating_sub(self.margin);
        let spread = self.spacing.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX));
        let kept_back = spread.max(took.saturating_mul(2));
        time.saturating_sub(kept_back.min(time / 2)).min(self.max)
    }
}

/// One of the callers that wait, counted until it is dropped.
struct Waiter<'a>(&'a AtomicUsize);

impl<'a> Waiter<'a> {
    /// With how many were there before it.
    fn enter(waiters: &'a AtomicUsize) -> (Waiter<'a>, usize) {
        // Relaxed: the number stands for itself and orders nothing else.
        let others = waiters.fetch_add(1, Ordering::Relaxed);
        (Waiter(waiters), others)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Orders {
    store: Arc<dyn Store>,
    sagas: Sagas,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    waiting: Waiting,
    /// Callers that wait for an order's end.
    waiters: Arc<AtomicUsize>,
    /// Read when the first page is asked for.
    token_key: Arc<OnceCell<TokenKey>>,
}

impl Orders {
    /// The orders of a store, carried on by these sagas.
    pub fn new(
        store: Arc<dyn Store>,
        sagas: Sagas,
        catalogue: Catalogue,
        clock: Clock,
        waiting: Waiting,
    ) -> Orders {
        let (catalogue, waiters, token_key) = (Arc::new(catalogue), Arc::default(), Arc::default());
        Orders { store, sagas, catalogue, clock, waiting, waiters, token_key }
    }

    /// Accepts an order and waits for its end, as long as the caller can.
    ///
    /// Cancel safety: once the order is stored it goes on, whether or not the caller is still there.
    pub async fn create(&self, request: NewOrder) -> Result<Created, Error> {
        let creating = span("create-order").attr(USER_ID, &request.user).attr(PRODUCT_ID, &request.product);
        creating.run(self.create_within_span(request)).await
    }

    async fn create_within_span(&self, request: NewOrder) -> Result<Created, Error> {
        if !request.caller.may_see(&request.user) {
            return Err(ErrorCode::Forbidden.into());
        }
        let begun = Instant::now();
        // Before anything is stored: what is accepted is also carried on.
        let admission = self.sagas.admit();
        if admission.is_err() || !self.is_priced_at_hand(&request).await {
            // I2: before anybody is asked and anything refused. With all at hand the unit that stores the order is
            // the one that looks the key up.
            if let Some(before) = self.placed_before(request.key.clone()).await? {
                return self.existing(before, &request, begun).await;
            }
        }
        let admission = admission?;
        let unit_price = match span("validate-order").run(self.validate(&request)).await {
            Ok(unit_price) => unit_price,
            // The first request with this key may have been right at its time.
            Err(refused) => {
                let before = self.placed_before(request.key.clone()).await?.ok_or(refused)?;
                return self.existing(before, &request, begun).await;
            }
        };

        let order = self.new_order(&request, unit_price);
        set(ORDER_ID, &order.id);
        match self.sagas.accept(order, request.key.clone(), admission).await? {
            Accepted::New(watching) => {
                let order = self.settled(watching, begun.elapsed()).await;
                describe(&order);
                Ok(Created { order, replayed: false })
            }
            Accepted::Existing(before) => self.existing(before, &request, begun).await,
        }
    }

    /// What a request is answered whose key is known.
    async fn existing(&self, before: Placed, request: &NewOrder, begun: Instant) -> Result<Created, Error> {
        match before {
            Placed::Before(order) if request.is_repeat && !order.status.is_terminal() => {
                let joining = span("join-order").link(creator(&order)).attr(ORDER_ID, &order.id);
                let order = joining.observe(self.joined(*order, &request.caller, begun.elapsed())).await;
                set(ORDER_ID, &order.id);
                describe(&order);
                Ok(Created { order, replayed: false })
            }
            before => replay(before),
        }
    }

    /// True when the price that is remembered agrees with the total that the client expects, so that nobody has to be
    /// asked for it.
    async fn is_priced_at_hand(&self, request: &NewOrder) -> bool {
        let price = self.catalogue.remembered(&request.product).await;
        price.is_some_and(|price| check_amount(price.unit_price, request.quantity, request.amount).is_ok())
    }

    /// The unit price, when the catalogue agrees with the total that the client expects.
    async fn validate(&self, request: &NewOrder) -> Result<Money, Error> {
        let price = self.catalogue.price(&request.product).await?;
        match check_amount(price.unit_price, request.quantity, request.amount) {
            Ok(()) => Ok(price.unit_price),
            Err(refused) if price.is_fresh() => Err(refused.into()),
            // The client may know a newer price than we do.
            Err(_) => {
                let price = self.catalogue.price_after(price, &request.product).await?;
                check_amount(price.unit_price, request.quantity, request.amount)?;
                Ok(price.unit_price)
            }
        }
    }

    async fn placed_before(&self, key: Option<Key>) -> Result<Option<Placed>, Error> {
        match key {
            Some(key) => self.store.placed_before(key).await,
            None => Ok(None),
        }
    }

    /// The settled order that a key stands for. Asks nobody and admits nothing, so a repeated request is answered
    /// whatever is away or overloaded (I2).
    pub async fn find_by_key(&self, key: Key, user: &UserId, caller: &Viewer) -> Result<Order, Error> {
        if !caller.may_see(user) {
            return Err(ErrorCode::Forbidden.into());
        }
        match self.store.placed_before(key).await? {
            Some(before) => Ok(replay(before)?.order),
            None => Err(ErrorCode::OrderNotFound.into()),
        }
    }

    fn new_order(&self, request: &NewOrder, unit_price: Money) -> Order {
        let now = Timestamp::from(self.clock.now());
        let context = Context::current();
        Order {
            id: OrderId::new(Uuid::now_v7()),
            user: request.user.clone(),
            product: request.product.clone(),
            quantity: request.quantity,
            unit_price,
            amount: request.amount,
            payment_method: request.payment_method.clone(),
            status: OrderStatus::Pending,
            failure_code: None,
            decline_code: None,
            transaction: None,
            charge: Charge::None,
            created_at: now,
            updated_at: now,
            version: 1,
            origin: Origin {
                trace_id: trace_id(),
                traceparent: propagation::traceparent(&context),
                tracestate: propagation::tracestate(&context),
            },
        }
    }

    /// An order that the caller may see.
    pub async fn find(&self, id: OrderId, caller: Viewer) -> Result<Order, Error> {
        let found = self.store.find(id, caller).await?;
        found.ok_or_else(|| ErrorCode::OrderNotFound.into())
    }

    /// One page of a user's orders.
    pub async fn list(&self, page: PageOf, caller: Viewer) -> Result<Page, Error> {
        let PageOf { user, size, token } = page;
        if !caller.may_see(&user) {
            return Err(ErrorCode::Forbidden.into());
        }
        let token_key = self.token_key.get_or_try_init(|| self.store.token_key()).await?;
        let after = token_key.from_token(&user, &token)?;
        // One more than is shown tells whether there is a next page.
        let mut orders = self.store.page(user.clone(), caller, after, size + 1).await?;
        let has_more = orders.len() > size as usize;
        orders.truncate(size as usize);
        let last = orders.last().filter(|_| has_more);
        let next = last.map(|order| Cursor { created_at: order.created_at, id: order.id.clone() });
        let next_token = next.map(|cursor| token_key.to_token(&user, &cursor)).transpose()?;
        Ok(Page { orders, next_token })
    }

    /// Cancels an order whose money is not being taken yet, and waits for its end as long as the caller can.
    /// Repeatable.
    pub async fn cancel(&self, id: OrderId, caller: Viewer) -> Result<Order, Error> {
        let noted = span("request-cancel").attr(ORDER_ID, &id).run(self.store.cancel(id, caller));
        let order = match noted.await?.ok_or(ErrorCode::OrderNotFound)? {
            Cancelling::TooLate(order) => order,
            Cancelling::Noted(order) | Cancelling::TurnedBack(order) => {
                self.sagas.cancel_requested(&order.id);
                match self.sagas.watch(&order.id) {
                    Some(watching) => self.settled(watching, Duration::ZERO).await,
                    // Parked, or another process runs it.
                    None => order,
                }
            }
        };
        match order.status {
            OrderStatus::Cancelled | OrderStatus::Pending => Ok(order),
            OrderStatus::Confirmed | OrderStatus::Completed | OrderStatus::Failed => {
                Err(ErrorCode::OrderNotCancellable.into())
            }
        }
    }

    /// The order at its end, or as it stands when the caller's time is over or nobody works on it here any more.
    async fn settled(&self, mut watching: watch::Receiver<Order>, took: Duration) -> Order {
        let (_waiter, others) = Waiter::enter(&self.waiters);
        let max_wait = self.waiting.of(deadline::remaining(), took, others);
        let end = watching.wait_for(|order| order.status.is_terminal());
        // Whichever way the wait ends, the last state counts.
        let _ = timeout(max_wait, end).await;
        watching.borrow().clone()
    }

    /// An order that was accepted before, at its end or as it stands when the caller's time is over. Whichever process runs
    /// it: the one that accepted it may have died, and then another one goes on with it.
    async fn joined(&self, mut order: Order, caller: &Viewer, took: Duration) -> Order {
        if let Some(watching) = self.sagas.watch(&order.id) {
            return self.settled(watching, took).await;
        }
        let (_waiter, others) = Waiter::enter(&self.waiters);
        let ends_at = Instant::now() + self.waiting.of(deadline::remaining(), took, others);
        let mut pause = FIRST_LOOK;
        while !order.status.is_terminal() && Instant::now() + pause < ends_at {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_LOOK);
            let found = timeout_at(ends_at, self.store.find(order.id.clone(), caller.clone())).await;
            // Where it cannot be read, what is known is an answer, too.
            if let Ok(Ok(Some(found))) = found {
                order = found;
            }
        }
        order
    }
}

/// The span of the request that created an order.
fn creator(order: &Order) -> SpanContext {
    let Origin { traceparent, tracestate, .. } = &order.origin;
    let context = propagation::context_from(traceparent.as_deref(), tracestate.as_deref());
    context.span().span_context().clone()
}

/// What a repeated request is answered: the order once it is settled, and until then to ask again.
fn replay(before: Placed) -> Result<Created, Error> {
    match before {
        Placed::Before(order) if order.status.is_terminal() => {
            // Joins the two traces: this one tells of the request, the first one of the order.
            span("replay-order").link(creator(&order)).attr(ORDER_ID, &order.id).in_scope(|| ());
            set(ORDER_ID, &order.id);
            describe(&order);
            Ok(Created { order: *order, replayed: true })
        }
        Placed::Before(_) | Placed::New => {
            let in_use = waypost_api::Error::of(ErrorCode::IdempotencyKeyInUse);
            Err(in_use.with_retry_after(IN_USE_RETRY_AFTER).into())
        }
        Placed::KeyReused => Err(ErrorCode::IdempotencyKeyReused.into()),
    }
}

fn describe(order: &Order) {
    set(ORDER_STATUS, order.status);
    if let Some(transaction) = &order.transaction {
        set(PAYMENT_TRANSACTION_ID, transaction);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_with_one_deadline_are_answered_one_after_the_other() {
        let ms = Duration::from_millis;
        let waiting = Waiting { max: ms(8000), margin: ms(100), spacing: ms(3) };
        let of = |left, took, others| waiting.of(Some(ms(left)), ms(took), others);
        assert_eq!([of(5000, 0, 0), of(5000, 1, 1), of(5000, 9, 500)], [ms(4900), ms(4897), ms(3400)]);
        // A slow machine needs longer for each of them.
        assert_eq!([of(5000, 400, 1), of(5000, 900, 500)], [ms(4100), ms(3100)]);
        // Half of the time is a caller's whatever the crowd.
        assert_eq!([of(5000, 0, 100_000), of(300, 4000, 0)], [ms(2450), ms(100)]);
        assert_eq!([of(60, 0, 9), of(20_000, 0, 0)], [ms(0), ms(8000)]);
        assert_eq!(waiting.of(None, ms(900), 9), ms(8000));
    }

    #[test]
    fn a_caller_that_leaves_waits_no_more() {
        let waiters = AtomicUsize::new(0);
        let (first, before_first) = Waiter::enter(&waiters);
        let (_second, before_second) = Waiter::enter(&waiters);
        drop(first);
        assert_eq!((before_first, before_second, Waiter::enter(&waiters).1), (0, 1, 1));
    }
}
