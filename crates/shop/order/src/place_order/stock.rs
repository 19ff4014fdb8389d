//! The steps that hold, take and give back stock.

use super::{PlaceOrder, answers::failure};
use crate::domain::{Order, Output, Refusal};
use waypost_api::attributes::{PRODUCT_ID, PRODUCT_QUANTITY};
use waypost_api::{
    ErrorCode, Money,
    inventory::v1::{CommitRequest, Line, ReleaseRequest, ReserveRequest},
};
use waypost_durable::saga::{Call, Failure, Step, Undo};
use waypost_telemetry::set;

/// How often a hold that ran out after the money was taken is taken anew before the money is given back.
const LAST_GENERATION: u32 = 16;

pub(super) struct Reserve;

impl Step<PlaceOrder> for Reserve {
    const NAME: &'static str = "reserve";
    const SPAN: &'static str = "check-inventory";

    async fn run(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
        set(PRODUCT_ID, &order.product);
        set(PRODUCT_QUANTITY, i64::from(order.quantity));
        reserve(shop, order, call, call.key(), Some(order.unit_price)).await?;
        Ok(Output::Reserved)
    }
}

pub(super) struct Release;

impl Undo<PlaceOrder> for Release {
    const NAME: &'static str = "release";
    const SPAN: &'static str = "release-stock";

    async fn undo(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<(), Failure<Refusal>> {
        let request = release_request(order, call, call.key());
        shop.inventory.clone().release(request).await.map_err(|status| failure(&status))?;
        Ok(())
    }
}

pub(super) struct CommitStock;

impl Step<PlaceOrder> for CommitStock {
    const NAME: &'static str = "commit-stock";
    const SPAN: &'static str = "commit-stock";

    /// A hold that ran out (the process was down for long) is taken anew, under the key of the next generation and
    /// at whatever price, because the customer has paid.
    async fn run(&self, shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
        match commit_or_hold_anew(shop, order, call).await {
            Err(Failure::Refused(refusal)) => match give_up_stock(shop, order, call).await? {
                Stock::GivenBack => Err(Failure::RefusedForGood(refusal)),
                Stock::Taken => Ok(Output::Committed),
            },
            committed => committed,
        }
    }
}

async fn commit_or_hold_anew(
    shop: &PlaceOrder,
    order: &Order,
    call: &Call,
) -> Result<Output, Failure<Refusal>> {
    for generation in Call::FIRST_GENERATION + 1..=LAST_GENERATION {
        match commit(shop, order, call).await {
            Err(Failure::Refused(refusal)) if has_run_out(&refusal) => {}
            committed => return committed,
        }
        match reserve(shop, order, call, call.key_of(Reserve::NAME, generation), None).await {
            // This generation ran out as well; the next one is free.
            Err(Failure::Refused(refusal)) if has_run_out(&refusal) => {}
            reserved => reserved?,
        }
    }
    commit(shop, order, call).await
}

/// What [`give_up_stock`] found.
pub(super) enum Stock {
    GivenBack,
    Taken,
}

/// Gives the order's stock back for good, so that no `Reserve` or `Commit` that is still under way can have an effect;
/// or finds that it was taken.
pub(super) async fn give_up_stock(
    shop: &PlaceOrder,
    order: &Order,
    call: &Call,
) -> Result<Stock, Failure<Refusal>> {
    let request = release_request(order, call, call.key_of(Release::NAME, LAST_GENERATION));
    match shop.inventory.clone().release(request).await.map_err(|status| failure(&status)) {
        Ok(_) => Ok(Stock::GivenBack),
        Err(Failure::Refused(refusal)) if refusal.code == ErrorCode::ReservationConflict => Ok(Stock::Taken),
        Err(fenced @ Failure::Fenced(_)) => Err(fenced),
        // Whatever it says, the stock was not given back.
        Err(failure) => Err(Failure::Unknown(failure.into_reason())),
    }
}

/// Holds the order's stock, at this price or, without one, at any.
async fn reserve(
    shop: &PlaceOrder,
    order: &Order,
    call: &Call,
    key: String,
    unit_price: Option<Money>,
) -> Result<(), Failure<Refusal>> {
    let line = Line {
        product_id: (&order.product).into(),
        quantity: order.quantity,
        unit_price: unit_price.map(Into::into),
        any_price: unit_price.is_none(),
    };
    let request = ReserveRequest {
        order_id: (&order.id).into(),
        key,
        lines: vec![line],
        time_to_live: shop.hold_time.try_into().ok(),
        lease_epoch: call.epoch().number(),
    };
    shop.inventory.clone().reserve(request).await.map_err(|status| failure(&status))?;
    Ok(())
}

async fn commit(shop: &PlaceOrder, order: &Order, call: &Call) -> Result<Output, Failure<Refusal>> {
    let request =
        CommitRequest { order_id: (&order.id).into(), key: call.key(), lease_epoch: call.epoch().number() };
    shop.inventory.clone().commit(request).await.map_err(|status| failure(&status))?;
    Ok(Output::Committed)
}

fn release_request(order: &Order, call: &Call, key: String) -> ReleaseRequest {
    ReleaseRequest { order_id: (&order.id).into(), key, lease_epoch: call.epoch().number() }
}

fn has_run_out(refusal: &Refusal) -> bool {
    matches!(refusal.code, ErrorCode::ReservationExpired | ErrorCode::ReservationNotFound)
}
