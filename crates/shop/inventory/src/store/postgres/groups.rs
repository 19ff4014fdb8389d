//! Holds that are made, and stock that is taken, of many orders in one statement.
//!
//! Each group has the locks of its orders and changes a product's stock once, by what all its orders want of it. What is no
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
    postgres::{At, Unit, group::Grouped, params},
};

/// Holds the lines of orders that have no hold yet. The stock is changed last, since others wait for its row until the group
/// is committed; when it does not suffice for all of them, the group is given up and each asks by itself.
pub(super) async fn reserve(
    unit: &mut Unit,
    requests: &[NewReservation],
) -> Result<Vec<Grouped<Reservation, Error>>, waypost_durable::Error> {
    let now = Timestamp::from(unit.now().await?);
    let holds: Vec<Reservation> = requests
        .iter()
        .map(|request| Reservation {
            order: request.order.clone(),
            generation: request.generation,
            state: ReservationState::Held,
            expires_at: now.plus(request.lasts),
            epoch: request.epoch,
        })
        .collect();
    let lines = || requests.iter().flat_map(|request| request.lines.iter().map(move |line| (request, line)));
    let held: Vec<(String, bool)> = unit
        .query_all(
            "WITH wish AS ( \
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
               RETURNING order_id, generation), \
             lines AS ( \
               INSERT INTO reservation_lines (order_id, generation, product_id, quantity) \
               SELECT order_id, generation, product_id, quantity FROM held JOIN wanted USING (order_id)), \
             product AS ( \
               SELECT product_id, sum(quantity)::bigint AS quantity FROM held JOIN wanted USING (order_id) \
               GROUP BY product_id ORDER BY product_id), \
             taken AS ( \
               UPDATE stock SET reserved = reserved + product.quantity FROM product \
               WHERE stock.product_id = product.product_id AND on_hand - reserved >= product.quantity RETURNING 1) \
             SELECT order_id, (SELECT count(*) FROM product) = (SELECT count(*) FROM taken) FROM held",
            params![
                holds.iter().map(|hold| hold.order.as_str()).collect::<Vec<_>>(),
                holds.iter().map(|hold| i64::from(hold.generation.number())).collect::<Vec<_>>(),
                holds.iter().map(|hold| At(hold.expires_at.into())).collect::<Vec<_>>(),
                holds.iter().map(|hold| epoch_row(hold.epoch)).collect::<Vec<_>>(),
                lines().map(|(request, _)| request.order.as_str()).collect::<Vec<_>>(),
                lines().map(|(_, line)| line.product.as_str()).collect::<Vec<_>>(),
                lines().map(|(_, line)| i64::from(line.quantity)).collect::<Vec<_>>(),
                lines()
                    .map(|(_, line)| line.unit_price.map(Money::ten_thousandths))
                    .collect::<Vec<_>>(),
                lines()
                    .map(|(_, line)| line.unit_price.map(|price| price.currency().as_str().to_owned()))
                    .collect::<Vec<_>>(),
                At(now.into()),
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .await?;
    if held.iter().any(|(_, suffices)| !suffices) {
        // Rolls all of it back.
        return Err(waypost_durable::Error::Fenced { what: "stock".to_owned() });
    }
    let outcome = |hold: Reservation| {
        let is_held = held.iter().any(|(id, _)| id == hold.order.as_str());
        if is_held { Grouped::Done(hold) } else { Grouped::Alone }
    };
    Ok(holds.into_iter().map(outcome).collect())
}

/// Takes the stock of holds that have not run out, each the newest of its order. The conditions on a hold stand in a `CASE`, so that it is
/// found by its order: the index of holds by their expiry has all of them, and those that have ended since.
pub(super) async fn commit(
    unit: &mut Unit,
    requests: &[(OrderId, Epoch)],
) -> Result<Vec<Grouped<Reservation, Error>>, waypost_durable::Error> {
    let now = unit.now().await?;
    let committed: Vec<(String, u32, Timestamp)> = unit
        .query_all(
            "WITH asked AS ( \
               SELECT * FROM unnest($1::text[], $2::bigint[]) AS asked (order_id, lease_epoch)), \
             committed AS ( \
               UPDATE reservations SET state = 'committed', updated_at = $3, lease_epoch = asked.lease_epoch FROM asked \
               WHERE reservations.order_id = asked.order_id \
                 AND CASE WHEN state = 'held' THEN expires_at > $3 AND reservations.lease_epoch <= asked.lease_epoch END \
                 AND NOT EXISTS ( \
                   SELECT 1 FROM reservations AS newer \
                   WHERE newer.order_id = asked.order_id AND newer.generation > reservations.generation) \
               RETURNING reservations.order_id, generation, expires_at), \
             line AS ( \
               SELECT order_id, generation, product_id, quantity \
               FROM committed JOIN reservation_lines USING (order_id, generation)), \
             moved AS ( \
               INSERT INTO stock_movements (product_id, kind, quantity, order_id, generation, at) \
               SELECT product_id, 'committed', quantity, order_id, generation, $3 FROM line), \
             product AS ( \
               SELECT product_id, sum(quantity)::bigint AS quantity FROM line GROUP BY product_id ORDER BY product_id), \
             taken AS ( \
               UPDATE stock SET on_hand = on_hand - product.quantity, reserved = reserved - product.quantity \
               FROM product WHERE stock.product_id = product.product_id) \
             SELECT order_id, generation, expires_at FROM committed",
            params![
                requests.iter().map(|(order, _)| order.as_str()).collect::<Vec<_>>(),
                requests.iter().map(|(_, epoch)| epoch_row(*epoch)).collect::<Vec<_>>(),
                At(now),
            ],
            |row| Ok((row.get(0)?, row.number(1)?, row.time(2)?.into())),
        )
        .await?;
    let outcome = |(order, epoch): &(OrderId, Epoch)| {
        let found = committed.iter().find(|(id, ..)| id == order.as_str());
        let Some((_, generation, expires_at)) = found else { return Grouped::Alone };
        Grouped::Done(Reservation {
            order: order.clone(),
            generation: Generation::new(*generation),
            state: ReservationState::Committed,
            expires_at: *expires_at,
            epoch: *epoch,
        })
    };
    Ok(requests.iter().map(outcome).collect())
}
