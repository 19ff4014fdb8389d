//! Holds that are made, and stock that is taken, of many orders in one message (`0002_one_message.sql`).
//!
//! Each group has the locks of its orders and changes a product's stock once, by what all its orders want of it: a product's row
//! is locked until the commit is synced, so whoever changes it next waits for that long, be it to hold or to take. What is no
//! plain case is refused or repeated by itself: an order that had a hold before, a price or a product that is another, stock
//! that does not suffice.

use super::{epoch_row, lock};
use crate::{
    Error,
    domain::{Generation, NewReservation, Reservation, ReservationState},
};
use waypost_api::{Money, OrderId, Timestamp};
use waypost_durable::{
    Epoch,
    postgres::{
        Unit,
        group::{Grouped, Name},
        millis_of, params,
    },
};

/// What is wanted of the stock.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// Hold it.
    Reserve(NewReservation),
    /// Take what an order's newest hold has.
    Commit(OrderId, Epoch),
}

impl Request {
    pub(super) fn order(&self) -> &OrderId {
        match self {
            Request::Reserve(request) => &request.order,
            Request::Commit(order, _) => order,
        }
    }
}

pub(super) fn name(request: &Request) -> Name {
    match request {
        Request::Reserve(_) => Name {
            operation: "reserve",
            summary: "INSERT reservations; INSERT reservation_lines; UPDATE stock",
        },
        Request::Commit(..) => {
            Name { operation: "commit", summary: "UPDATE reservations; INSERT stock_movements; UPDATE stock" }
        }
    }
}

/// A row for each that was held or taken. When there is not enough stock for all of them it fails.
const MOVE: &str = "SELECT moved_order, moved_generation, moved_expires_at \
     FROM move_stock($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Holds the lines of orders that have no hold yet, and takes the stock of holds that have not run out, each the newest of its
/// order. When the stock does not suffice for all of them, the statement fails and each asks by itself.
pub(super) async fn together(
    unit: &mut Unit,
    requests: &[Request],
) -> Result<Vec<Grouped<Reservation, Error>>, waypost_durable::Error> {
    let holds = || {
        requests.iter().filter_map(|request| match request {
            Request::Reserve(request) => Some(request),
            Request::Commit(..) => None,
        })
    };
    let commits = || {
        requests.iter().filter_map(|request| match request {
            Request::Reserve(_) => None,
            Request::Commit(order, epoch) => Some((order, *epoch)),
        })
    };
    let lines = || holds().flat_map(|request| request.lines.iter().map(move |line| (request, line)));
    let moved: Vec<Moved> = unit
        .query_all(
            MOVE,
            params![
                requests.iter().map(|request| lock(request.order())).collect::<Vec<_>>(),
                holds().map(|hold| hold.order.as_str()).collect::<Vec<_>>(),
                holds().map(|hold| i64::from(hold.generation.number())).collect::<Vec<_>>(),
                holds().map(|hold| millis_of(hold.lasts)).collect::<Vec<_>>(),
                holds().map(|hold| epoch_row(hold.epoch)).collect::<Vec<_>>(),
                lines().map(|(request, _)| request.order.as_str()).collect::<Vec<_>>(),
                lines().map(|(_, line)| line.product.as_str()).collect::<Vec<_>>(),
                lines().map(|(_, line)| i64::from(line.quantity)).collect::<Vec<_>>(),
                lines().map(|(_, line)| line.unit_price.map(Money::ten_thousandths)).collect::<Vec<_>>(),
                lines()
                    .map(|(_, line)| line.unit_price.map(|price| price.currency().as_str().to_owned()))
                    .collect::<Vec<_>>(),
                commits().map(|(order, _)| order.as_str()).collect::<Vec<_>>(),
                commits().map(|(_, epoch)| epoch_row(epoch)).collect::<Vec<_>>(),
            ],
            |row| {
                Ok(Moved {
                    order: row.get(0)?,
                    generation: Generation::new(row.number(1)?),
                    expires_at: row.time(2)?.into(),
                })
            },
        )
        .await?;
    let outcome = |request: &Request| {
        let found = moved.iter().find(|moved| moved.order == request.order().as_str());
        let Some(Moved { generation, expires_at, .. }) = found else { return Grouped::Alone };
        let (state, epoch) = match request {
            Request::Reserve(request) => (ReservationState::Held, request.epoch),
            Request::Commit(_, epoch) => (ReservationState::Committed, *epoch),
        };
        Grouped::Done(Reservation {
            order: request.order().clone(),
            generation: *generation,
            state,
            expires_at: *expires_at,
            epoch,
        })
    };
    Ok(requests.iter().map(outcome).collect())
}

/// A hold as it is now.
struct Moved {
    order: String,
    generation: Generation,
    expires_at: Timestamp,
}
