//! Holds that are made, and stock that is taken, of many orders in one statement.
//!
//! Each group has the locks of its orders and changes a product's stock once, by what all its orders want of it: a product's row
//! is locked until the commit is synced, so whoever changes it next waits for that long, be it to hold or to take. What is no
//! plain case is refused or repeated by itself: an order that had a hold before, a price or a product that is another, stock
//! that does not suffice.

use super::epoch_row;
use crate::{
    Error,
    domain::{Generation, NewReservation, Reservation, ReservationState},
};
use waypost_api::{Money, OrderId, Timestamp};
use waypost_durable::{
    Epoch,
    postgres::{
        At, Unit,
        group::{Grouped, Name},
        params,
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

/// Holds and commits of `$1` to `$12`. A row for each hold as it is now, and whether there was stock for all of them.
const MOVE: &str = "WITH wish AS ( \
       SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::bigint[]) \
       AS wish (order_id, generation, expires_at, lease_epoch)), \
     wanted AS ( \
       SELECT * FROM unnest($5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[]) \
       AS wanted (order_id, product_id, quantity, unit_price, currency)), \
     unclear AS ( \
       SELECT wanted.order_id FROM wanted \
       LEFT JOIN products ON products.product_id = wanted.product_id \
       LEFT JOIN stock ON stock.product_id = wanted.product_id \
       WHERE (coalesce(wanted.unit_price = products.unit_price AND wanted.currency = products.currency, \
         wanted.unit_price IS NULL) AND stock.on_hand - stock.reserved >= wanted.quantity) IS NOT TRUE), \
     held AS ( \
       INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at, lease_epoch) \
       SELECT order_id, generation, 'held', expires_at, $10, $10, lease_epoch FROM wish \
       WHERE NOT EXISTS (SELECT 1 FROM reservations WHERE reservations.order_id = wish.order_id) \
         AND order_id NOT IN (SELECT order_id FROM unclear) \
       RETURNING order_id, generation, expires_at), \
     held_line AS ( \
       INSERT INTO reservation_lines (order_id, generation, product_id, quantity) \
       SELECT order_id, generation, product_id, quantity FROM held JOIN wanted USING (order_id) \
       RETURNING product_id, quantity), \
     asked AS ( \
       SELECT * FROM unnest($11::text[], $12::bigint[]) AS asked (order_id, lease_epoch)), \
     committed AS ( \
       UPDATE reservations SET state = 'committed', updated_at = $10, lease_epoch = asked.lease_epoch FROM asked \
       WHERE reservations.order_id = asked.order_id \
         AND CASE WHEN state = 'held' THEN expires_at > $10 AND reservations.lease_epoch <= asked.lease_epoch END \
         AND NOT EXISTS ( \
           SELECT 1 FROM reservations AS newer \
           WHERE newer.order_id = asked.order_id AND newer.generation > reservations.generation) \
       RETURNING reservations.order_id, generation, expires_at), \
     committed_line AS ( \
       INSERT INTO stock_movements (product_id, kind, quantity, order_id, generation, at) \
       SELECT product_id, 'committed', quantity, order_id, generation, $10 \
       FROM committed JOIN reservation_lines USING (order_id, generation) \
       RETURNING product_id, quantity), \
     product AS ( \
       SELECT product_id, sum(held)::bigint AS held, sum(taken)::bigint AS taken FROM ( \
         SELECT product_id, quantity AS held, 0 AS taken FROM held_line UNION ALL \
         SELECT product_id, 0, quantity FROM committed_line) AS line \
       GROUP BY product_id ORDER BY product_id), \
     changed AS ( \
       UPDATE stock SET on_hand = on_hand - product.taken, reserved = reserved + product.held - product.taken \
       FROM product \
       WHERE stock.product_id = product.product_id AND on_hand - reserved >= product.held RETURNING 1) \
     SELECT order_id, generation, expires_at, \
       (SELECT count(*) FROM product) = (SELECT count(*) FROM changed) \
     FROM (SELECT * FROM held UNION ALL SELECT * FROM committed) AS moved";

/// Holds the lines of orders that have no hold yet, and takes the stock of holds that have not run out, each the newest of its
/// order. The stock is changed last, since others wait for its row until the group is committed; when it does not suffice for
/// all of them, the group is given up and each asks by itself.
///
/// The conditions on a hold that is taken stand in a `CASE`, so that it is found by its order: the index of holds by their
/// expiry has all of them, and those that have ended since.
pub(super) async fn together(
    unit: &mut Unit,
    requests: &[Request],
) -> Result<Vec<Grouped<Reservation, Error>>, waypost_durable::Error> {
    let now = Timestamp::from(unit.now().await?);
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
                holds().map(|hold| hold.order.as_str()).collect::<Vec<_>>(),
                holds().map(|hold| i64::from(hold.generation.number())).collect::<Vec<_>>(),
                holds().map(|hold| At(now.plus(hold.lasts).into())).collect::<Vec<_>>(),
                holds().map(|hold| epoch_row(hold.epoch)).collect::<Vec<_>>(),
                lines().map(|(request, _)| request.order.as_str()).collect::<Vec<_>>(),
                lines().map(|(_, line)| line.product.as_str()).collect::<Vec<_>>(),
                lines().map(|(_, line)| i64::from(line.quantity)).collect::<Vec<_>>(),
                lines().map(|(_, line)| line.unit_price.map(Money::ten_thousandths)).collect::<Vec<_>>(),
                lines()
                    .map(|(_, line)| line.unit_price.map(|price| price.currency().as_str().to_owned()))
                    .collect::<Vec<_>>(),
                At(now.into()),
                commits().map(|(order, _)| order.as_str()).collect::<Vec<_>>(),
                commits().map(|(_, epoch)| epoch_row(epoch)).collect::<Vec<_>>(),
            ],
            |row| {
                Ok(Moved {
                    order: row.get(0)?,
                    generation: Generation::new(row.number(1)?),
                    expires_at: row.time(2)?.into(),
                    suffices: row.get(3)?,
                })
            },
        )
        .await?;
    if moved.iter().any(|moved| !moved.suffices) {
        // Rolls all of it back.
        return Err(waypost_durable::Error::Fenced { what: "stock".to_owned() });
    }
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
    /// Whether there was stock for the whole group.
    suffices: bool,
}
