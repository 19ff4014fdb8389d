//! The store on PostgreSQL.
//!
//! Locks are taken in one order by everybody: the order (an advisory lock, because the first hold has no row yet), its newest
//! hold, the stock in the order of its products. Who takes several of them says so in one statement. Holds and commits that
//! are ready together share a statement and a transaction (`groups`), so that a product's row is changed once for all of them.

mod groups;
mod retention;

use groups::Request;

use super::{Answer, Store};
use crate::{
    Error,
    domain::{
        self, CommitStep, Generation, HeldLine, Line, NewProduct, NewReservation, Product, Refusal,
        ReleaseStep, Reservation, ReservationState, ReserveStep, StockCount,
    },
};
use std::time::Duration;
use waypost_api::{Money, OrderId, ProductId, Timestamp};
use waypost_durable::{
    BoxFuture, Epoch, Migration,
    postgres::{
        At, Database, PostgresMigrator, Row, Server, Unit,
        group::{Group, Kind, Way},
        params,
    },
};
use waypost_telemetry::Telemetry;

/// The schema, step by step.
const MIGRATIONS: &[Migration] = &[
    Migration::new("0001_stock", include_str!("../../migrations/postgres/0001_stock.sql")),
    Migration::new("0002_one_message", include_str!("../../migrations/postgres/0002_one_message.sql")),
];

/// Holds that are deleted in one transaction.
const DELETED_AT_ONCE: u32 = 200;

/// The name of the service: of its schema and in spans.
const DATABASE: &str = "inventory";

/// Stock and holds in one schema of a PostgreSQL server.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    database: Database,
    moving: Group<Request, Reservation, Error>,
}

impl PostgresStore {
    /// Connects and brings the schema up to date.
    pub async fn open(server: &Server, telemetry: &Telemetry) -> Result<PostgresStore, Error> {
        let database = Database::open(server, DATABASE, telemetry, MIGRATIONS).await?;
        let moving = database.group(Kind {
            name: groups::name,
            subject: |request: &Request| request.order().to_string(),
            way: Way::LockedStatement(|request| lock(request.order())),
            together: |unit, requests| Box::pin(groups::together(unit, requests)),
            alone: |unit, request| {
                Box::pin(async move {
                    match request {
                        Request::Reserve(request) => reserve(unit, request).await,
                        Request::Commit(order, epoch) => commit(unit, order, *epoch).await,
                    }
                })
            },
        });
        Ok(PostgresStore { database, moving })
    }

    /// What brings the schema up to date without opening the store.
    pub(super) fn migrator(server: &Server) -> PostgresMigrator {
        PostgresMigrator::new(server, DATABASE, MIGRATIONS)
    }
}

impl Store for PostgresStore {
    fn add_products(&self, products: Vec<NewProduct>) -> Answer<'_, ()> {
        Box::pin(self.database.write("add_products", products, |unit, products| {
            Box::pin(async move {
                for product in products {
                    add_product(unit, product).await?;
                }
                Ok(())
            })
        }))
    }

    fn product(&self, id: ProductId) -> Answer<'_, Option<Product>> {
        Box::pin(self.database.read("product", id, |unit, id| Box::pin(find_product(unit, id))))
    }

    fn reserve(&self, request: NewReservation) -> Answer<'_, Reservation> {
        Box::pin(self.moving.run(Request::Reserve(request)))
    }

    fn commit(&self, order: OrderId, epoch: Epoch) -> Answer<'_, Reservation> {
        Box::pin(self.moving.run(Request::Commit(order, epoch)))
    }

    fn release(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Answer<'_, bool> {
        Box::pin(self.database.write_locked(
            "release",
            lock(&order),
            (order, generation, epoch),
            |unit, (order, generation, epoch)| Box::pin(release(unit, order, *generation, *epoch)),
        ))
    }

    fn has_run_out(&self) -> Answer<'_, bool> {
        Box::pin(self.database.read("has_run_out", (), |unit, ()| {
            Box::pin(async move {
                let sql = "SELECT EXISTS \
                    (SELECT 1 FROM reservations WHERE state = 'held' AND expires_at <= waypost_now())";
                Ok(unit.query_row(sql, params![], |row| row.get(0)).await?)
            })
        }))
    }

    fn expire(&self, max: u32) -> Answer<'_, u32> {
        Box::pin(self.database.write("expire", max, |unit, max| Box::pin(expire(unit, *max))))
    }

    fn delete_ended(&self, age: Duration) -> Answer<'_, usize> {
        let database = self.database.untraced();
        Box::pin(async move {
            let delete = database.write("delete_ended", age, |unit, age| {
                Box::pin(async move {
                    let before = unit.ago(*age).await?;
                    retention::delete_ended(unit, before, DELETED_AT_ONCE).await
                })
            });
            delete.await
        })
    }

    fn count(&self) -> Answer<'_, Vec<StockCount>> {
        Box::pin(self.database.read("count", (), |unit, ()| Box::pin(count(unit))))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(async move { Ok(self.database.ping().await?) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

async fn add_product(unit: &mut Unit, product: &NewProduct) -> Result<(), Error> {
    let (id, price) = (product.id.as_str(), product.unit_price);
    let added = unit
        .execute(
            "INSERT INTO products (product_id, name, unit_price, currency) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
            params![id, &product.name, price.ten_thousandths(), price.currency().as_str()],
        )
        .await?;
    if added == 0 {
        return Ok(());
    }
    let received = i64::from(product.received);
    unit.execute("INSERT INTO stock (product_id, on_hand) VALUES ($1, $2)", params![id, received]).await?;
    if received > 0 {
        let now = At(unit.now().await?);
        unit.execute(
            "INSERT INTO stock_movements (product_id, kind, quantity, at) VALUES ($1, 'received', $2, $3)",
            params![id, received, now],
        )
        .await?;
    }
    Ok(())
}

async fn find_product(unit: &mut Unit, id: &ProductId) -> Result<Option<Product>, Error> {
    let found = unit.query_optional(
        "SELECT name, unit_price, currency, on_hand - reserved FROM products JOIN stock USING (product_id) \
         WHERE product_id = $1",
        params![id.as_str()],
        |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?, row.get::<String>(2)?, row.number::<u64>(3)?)),
    );
    let Some((name, price, currency, available)) = found.await? else { return Ok(None) };
    let currency = currency.parse().map_err(|_| malformed("products.currency"))?;
    Ok(Some(Product { id: id.clone(), name, unit_price: Money::new(price, currency), available }))
}

async fn reserve(unit: &mut Unit, request: &NewReservation) -> Result<Reservation, Error> {
    let now = Timestamp::from(unit.now().await?);
    let newest = newest(unit, &request.order).await?;
    domain::admit(&request.order, newest.as_ref(), request.epoch)?;
    match (domain::reserve(newest.as_ref(), request.generation, now)?, newest) {
        (ReserveStep::Repeat, Some(existing)) => {
            let is_same_key = existing.generation == request.generation;
            if is_same_key && !request.lines.are_held_as(&held_lines(unit, &existing).await?) {
                return Err(Refusal::KeyReused.into());
            }
            see(unit, &existing, request.epoch).await?;
            return Ok(existing);
        }
        (ReserveStep::HoldInstead(ends_as), Some(older)) => {
            lock_stock(unit, request, older.generation).await?;
            end(unit, &older, ends_as, request.epoch).await?;
        }
        (ReserveStep::Hold | ReserveStep::HoldInstead(_) | ReserveStep::Repeat, _) => {}
    }
    let reservation = Reservation {
        order: request.order.clone(),
        generation: request.generation,
        state: ReservationState::Held,
        expires_at: now.plus(request.lasts),
        epoch: request.epoch,
    };
    let products: Vec<&str> = request.lines.iter().map(|line| line.product.as_str()).collect();
    let quantities: Vec<i64> = request.lines.iter().map(|line| i64::from(line.quantity)).collect();
    unit.execute(
        "WITH hold AS ( \
           INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at, lease_epoch) \
           VALUES ($1, $2, 'held', $3, $4, $4, $5)) \
         INSERT INTO reservation_lines (order_id, generation, product_id, quantity) \
         SELECT $1, $2, product_id, quantity FROM unnest($6::text[], $7::bigint[]) AS line (product_id, quantity) \
         JOIN products USING (product_id)",
        params![
            reservation.order.as_str(),
            i64::from(reservation.generation.number()),
            At(reservation.expires_at.into()),
            At(now.into()),
            epoch_row(reservation.epoch),
            products,
            quantities,
        ],
    )
    .await?;
    // The stock last, since others wait for its row until this unit is committed. All lines or none: a refusal, also of a
    // product that there is not, rolls the whole unit back.
    for line in request.lines.iter() {
        take(unit, line).await?;
    }
    Ok(reservation)
}

/// Locks the stock of an older hold and of a wish together, in the order of its products.
async fn lock_stock(unit: &mut Unit, request: &NewReservation, older: Generation) -> Result<(), Error> {
    let products: Vec<&str> = request.lines.iter().map(|line| line.product.as_str()).collect();
    unit.query_all(
        "SELECT 1 FROM stock WHERE product_id IN ( \
           SELECT unnest($1::text[]) UNION \
           SELECT product_id FROM reservation_lines WHERE order_id = $2 AND generation = $3) \
         ORDER BY product_id FOR UPDATE",
        params![products, request.order.as_str(), i64::from(older.number())],
        |_| Ok(()),
    )
    .await?;
    Ok(())
}

/// Sets one line's stock aside.
async fn take(unit: &mut Unit, line: &Line) -> Result<(), Error> {
    let taken = unit.query_optional(
        "UPDATE stock SET reserved = reserved + $2 FROM products \
         WHERE stock.product_id = $1 AND products.product_id = stock.product_id AND on_hand - reserved >= $2 \
         RETURNING unit_price, currency",
        params![line.product.as_str(), i64::from(line.quantity)],
        |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
    );
    match taken.await? {
        Some((unit_price, currency)) => {
            let currency = currency.parse().map_err(|_| malformed("products.currency"))?;
            Ok(domain::check_price(line, Money::new(unit_price, currency))?)
        }
        None => Err(domain::refuse(line, find_product(unit, &line.product).await?.as_ref()).into()),
    }
}

async fn commit(unit: &mut Unit, order: &OrderId, epoch: Epoch) -> Result<Reservation, Error> {
    let now = Timestamp::from(unit.now().await?);
    let newest = newest(unit, order).await?;
    domain::admit(order, newest.as_ref(), epoch)?;
    let step = domain::commit(order, newest.as_ref(), now)?;
    let Some(mut reservation) = newest else { return Err(Refusal::NoReservation(order.clone()).into()) };
    if step == CommitStep::Repeat {
        see(unit, &reservation, epoch).await?;
        return Ok(reservation);
    }
    set_state(unit, &reservation, ReservationState::Committed, epoch).await?;
    // The stock last, since others wait for its row until this unit is committed.
    unit.execute(
        "WITH line AS ( \
           SELECT product_id, quantity FROM reservation_lines JOIN stock USING (product_id) \
           WHERE order_id = $1 AND generation = $2 ORDER BY product_id FOR UPDATE OF stock), \
         taken AS ( \
           UPDATE stock SET on_hand = on_hand - line.quantity, reserved = reserved - line.quantity \
           FROM line WHERE line.product_id = stock.product_id) \
         INSERT INTO stock_movements (product_id, kind, quantity, order_id, generation, at) \
         SELECT product_id, 'committed', quantity, $1, $2, $3 FROM line",
        params![order.as_str(), i64::from(reservation.generation.number()), At(now.into())],
    )
    .await?;
    reservation.state = ReservationState::Committed;
    Ok(reservation)
}

async fn release(
    unit: &mut Unit,
    order: &OrderId,
    generation: Generation,
    epoch: Epoch,
) -> Result<bool, Error> {
    let newest = newest(unit, order).await?;
    domain::admit(order, newest.as_ref(), epoch)?;
    let step = domain::release(newest.as_ref(), generation)?;
    let gives_back = matches!(step, ReleaseStep::GiveBack | ReleaseStep::GiveBackAndBury);
    if let Some(held) = newest.as_ref().filter(|_| gives_back) {
        end(unit, held, ReservationState::Released, epoch).await?;
    }
    if let Some(newest) = newest.as_ref().filter(|_| step == ReleaseStep::Repeat) {
        see(unit, newest, epoch).await?;
    }
    if matches!(step, ReleaseStep::Bury | ReleaseStep::GiveBackAndBury) {
        let now = At(unit.now().await?);
        unit.execute(
            "INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at, lease_epoch) \
             VALUES ($1, $2, 'released', $3, $3, $3, $4)",
            params![order.as_str(), i64::from(generation.number()), now, epoch_row(epoch)],
        )
        .await?;
    }
    Ok(gives_back)
}

async fn expire(unit: &mut Unit, max: u32) -> Result<u32, Error> {
    let now = At(unit.now().await?);
    // Whoever is about to end a hold has locked it.
    let due = unit.query_all(
        "SELECT order_id, generation, state, expires_at, lease_epoch FROM reservations \
         WHERE state = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        params![now, i64::from(max)],
        |row| Ok((row.get::<String>(0)?, StoredReservation::read(row, 1)?)),
    );
    let mut held = Vec::new();
    for (order, stored) in due.await? {
        let order = order.parse().map_err(|_| malformed("reservations.order_id"))?;
        held.push(stored.into_reservation(order)?);
    }
    lock_stock_of(unit, &held).await?;
    for held in &held {
        end(unit, held, ReservationState::Expired, held.epoch).await?;
    }
    u32::try_from(held.len()).map_err(|_| malformed("reservations"))
}

/// Locks the stock of several holds in the order of its products. Of one hold [`end`] does it.
async fn lock_stock_of(unit: &mut Unit, held: &[Reservation]) -> Result<(), Error> {
    if held.len() < 2 {
        return Ok(());
    }
    let orders: Vec<&str> = held.iter().map(|held| held.order.as_str()).collect();
    let generations: Vec<i64> = held.iter().map(|held| i64::from(held.generation.number())).collect();
    unit.query_all(
        "SELECT 1 FROM stock WHERE product_id IN ( \
           SELECT line.product_id FROM reservation_lines AS line \
           JOIN unnest($1::text[], $2::bigint[]) AS hold (order_id, generation) USING (order_id, generation)) \
         ORDER BY product_id FOR UPDATE",
        params![orders, generations],
        |_| Ok(()),
    )
    .await?;
    Ok(())
}

/// Ends a hold without taking its stock.
async fn end(
    unit: &mut Unit,
    held: &Reservation,
    ends_as: ReservationState,
    epoch: Epoch,
) -> Result<(), Error> {
    unit.execute(
        "WITH line AS ( \
           SELECT product_id, quantity FROM reservation_lines JOIN stock USING (product_id) \
           WHERE order_id = $1 AND generation = $2 ORDER BY product_id FOR UPDATE OF stock) \
         UPDATE stock SET reserved = reserved - line.quantity FROM line WHERE line.product_id = stock.product_id",
        params![held.order.as_str(), i64::from(held.generation.number())],
    )
    .await?;
    set_state(unit, held, ends_as, epoch).await
}

async fn set_state(
    unit: &mut Unit,
    held: &Reservation,
    state: ReservationState,
    epoch: Epoch,
) -> Result<(), Error> {
    let now = At(unit.now().await?);
    let changed = unit
        .execute(
            "UPDATE reservations SET state = $3, updated_at = $4, lease_epoch = $5 \
             WHERE order_id = $1 AND generation = $2 AND state = 'held'",
            params![
                held.order.as_str(),
                i64::from(held.generation.number()),
                state.as_str(),
                now,
                epoch_row(epoch)
            ],
        )
        .await?;
    // I12: what ended meanwhile is not ended again.
    if changed == 1 { Ok(()) } else { Err(Refusal::GivenBack(held.order.clone()).into()) }
}

/// Remembers a runner whose request changed nothing else.
async fn see(unit: &mut Unit, newest: &Reservation, epoch: Epoch) -> Result<(), Error> {
    if newest.epoch.is_overtaken_by(epoch) {
        unit.execute(
            "UPDATE reservations SET lease_epoch = $3 WHERE order_id = $1 AND generation = $2",
            params![newest.order.as_str(), i64::from(newest.generation.number()), epoch_row(epoch)],
        )
        .await?;
    }
    Ok(())
}

/// The lock of an order, which its units begin with: the first hold has no row yet that could be locked.
fn lock(order: &OrderId) -> String {
    format!(" order {order}")
}

/// The order's newest hold, locked until the unit ends, which has the order's lock.
async fn newest(unit: &mut Unit, order: &OrderId) -> Result<Option<Reservation>, Error> {
    let stored = unit.query_optional(
        "SELECT generation, state, expires_at, lease_epoch FROM reservations WHERE order_id = $1 \
         ORDER BY generation DESC LIMIT 1 FOR UPDATE",
        params![order.as_str()],
        |row| StoredReservation::read(row, 0),
    );
    stored.await?.map(|stored| stored.into_reservation(order.clone())).transpose()
}

/// In the order of their products.
async fn held_lines(unit: &mut Unit, reservation: &Reservation) -> Result<Vec<HeldLine>, Error> {
    let rows = unit.query_all(
        "SELECT product_id, quantity FROM reservation_lines WHERE order_id = $1 AND generation = $2 \
         ORDER BY product_id",
        params![reservation.order.as_str(), i64::from(reservation.generation.number())],
        |row| Ok((row.get::<String>(0)?, row.number::<u32>(1)?)),
    );
    let line = |(product, quantity): (String, u32)| {
        let product = product.parse().map_err(|_| malformed("reservation_lines.product_id"))?;
        Ok(HeldLine { product, quantity })
    };
    rows.await?.into_iter().map(line).collect()
}

async fn count(unit: &mut Unit) -> Result<Vec<StockCount>, Error> {
    let rows = unit.query_all(
        "SELECT product_id, on_hand, reserved, \
           (SELECT coalesce(sum(quantity), 0)::bigint FROM stock_movements AS movement \
            WHERE movement.product_id = stock.product_id AND kind = 'received'), \
           (SELECT coalesce(sum(quantity), 0)::bigint FROM stock_movements AS movement \
            WHERE movement.product_id = stock.product_id AND kind = 'committed'), \
           (SELECT coalesce(sum(quantity), 0)::bigint \
            FROM reservation_lines JOIN reservations USING (order_id, generation) \
            WHERE reservation_lines.product_id = stock.product_id AND state = 'held'), \
           (SELECT coalesce(sum(quantity), 0)::bigint \
            FROM reservation_lines JOIN reservations USING (order_id, generation) \
            WHERE reservation_lines.product_id = stock.product_id AND state = 'committed'), \
           (SELECT coalesce(sum(committed), 0)::bigint FROM stock_brought_forward AS brought_forward \
            WHERE brought_forward.product_id = stock.product_id) \
         FROM stock ORDER BY product_id",
        params![],
        |row| {
            let id: String = row.get(0)?;
            let counts: [i64; 7] =
                [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?];
            Ok((id, counts))
        },
    );
    let to_count = |(id, counts): (String, [i64; 7])| {
        let product = id.parse().map_err(|_| malformed("stock.product_id"))?;
        let [on_hand, reserved, received, by_movements, held_by_reservations, by_reservations, forward] =
            counts;
        Ok(StockCount {
            product,
            on_hand,
            reserved,
            received,
            committed: by_movements + forward,
            held_by_reservations,
            committed_by_reservations: by_reservations + forward,
        })
    };
    rows.await?.into_iter().map(to_count).collect()
}

/// The columns `generation, state, expires_at, lease_epoch`.
struct StoredReservation {
    generation: u32,
    state: String,
    expires_at: Timestamp,
    epoch: u64,
}

impl StoredReservation {
    fn read(row: &Row, first: usize) -> Result<StoredReservation, waypost_durable::Error> {
        Ok(StoredReservation {
            generation: row.number(first)?,
            state: row.get(first + 1)?,
            expires_at: row.time(first + 2)?.into(),
            epoch: row.number(first + 3)?,
        })
    }

    fn into_reservation(self, order: OrderId) -> Result<Reservation, Error> {
        Ok(Reservation {
            order,
            generation: Generation::new(self.generation),
            state: ReservationState::from_name(&self.state).ok_or_else(|| malformed("reservations.state"))?,
            expires_at: self.expires_at,
            epoch: Epoch::new(self.epoch),
        })
    }
}

/// Epochs count take-overs from 1; none comes near the end of the range.
fn epoch_row(epoch: Epoch) -> i64 {
    i64::try_from(epoch.number()).unwrap_or(i64::MAX)
}

fn malformed(what: &'static str) -> Error {
    Error::Store(waypost_durable::Error::Malformed { what })
}
