//! The embedded store: SQLite behind one writer thread.
//!
//! One writer, so what a unit has read stays true until its commit. The conditions in the `UPDATE`s are there all the
//! same: they are the rule, and the only guard on a database with several writers.

mod retention;
mod schema;

use self::schema::MIGRATIONS;
use super::{Answer, Store};
use crate::{
    Error,
    domain::{
        self, CommitStep, Generation, HeldLine, Line, NewProduct, NewReservation, Product, Refusal,
        ReleaseStep, Reservation, ReservationState, ReserveStep, StockCount,
    },
};
use rusqlite::{Row, params};
use std::time::Duration;
use waypost_api::{Money, OrderId, ProductId, Timestamp};
use waypost_durable::{
    BoxFuture, Clock, Database, DatabaseOptions, Epoch, Files, Sharing, SqliteMigrator, Unit,
};
use waypost_telemetry::Telemetry;

/// Holds that are deleted in one transaction.
const DELETED_AT_ONCE: u32 = 200;

/// The name of the database: of its file and in spans.
const DATABASE: &str = "inventory";

/// Stock and holds in one SQLite database.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    database: Database,
}

impl SqliteStore {
    /// Opens the database and migrates it. Blocks the thread meanwhile.
    pub fn open(files: &Files, telemetry: &Telemetry) -> Result<SqliteStore, Error> {
        Self::open_by(files, telemetry, Clock::system())
    }

    /// As [`SqliteStore::open`], with a clock for the database.
    pub fn open_by(files: &Files, telemetry: &Telemetry, clock: Clock) -> Result<SqliteStore, Error> {
        let options =
            DatabaseOptions { clock, ..DatabaseOptions::new(files.database(DATABASE), DATABASE, telemetry) };
        Ok(SqliteStore { database: Database::open(options, MIGRATIONS)? })
    }

    /// What brings the database to its schema without opening the store.
    pub(super) fn migrator(files: &Files) -> SqliteMigrator {
        SqliteMigrator::new(files.database(DATABASE), DATABASE, Sharing::Exclusive, MIGRATIONS)
    }
}

impl Store for SqliteStore {
    fn add_products(&self, products: Vec<NewProduct>) -> Answer<'_, ()> {
        Box::pin(self.database.write("add_products", move |unit| {
            products.iter().try_for_each(|product| add_product(unit, product))
        }))
    }

    fn product(&self, id: ProductId) -> Answer<'_, Option<Product>> {
        Box::pin(self.database.read("product", move |unit| find_product(unit, &id)))
    }

    fn reserve(&self, request: NewReservation) -> Answer<'_, Reservation> {
        Box::pin(self.database.write("reserve", move |unit| reserve(unit, request)))
    }

    fn commit(&self, order: OrderId, epoch: Epoch) -> Answer<'_, Reservation> {
        Box::pin(self.database.write("commit", move |unit| commit(unit, &order, epoch)))
    }

    fn release(&self, order: OrderId, generation: Generation, epoch: Epoch) -> Answer<'_, bool> {
        Box::pin(self.database.write("release", move |unit| release(unit, order, generation, epoch)))
    }

    fn has_run_out(&self) -> Answer<'_, bool> {
        Box::pin(self.database.read("has_run_out", move |unit| {
            let sql = "SELECT EXISTS (SELECT 1 FROM reservations WHERE state = 'held' AND expires_at <= ?1)";
            let now = now(unit).unix_millis();
            Ok(unit.query_row(sql, [now], |row| row.get(0))?)
        }))
    }

    fn expire(&self, max: u32) -> Answer<'_, u32> {
        Box::pin(self.database.write("expire", move |unit| expire(unit, max)))
    }

    fn delete_ended(&self, age: Duration) -> Answer<'_, usize> {
        let database = self.database.untraced();
        let delete = move |unit: &mut Unit<'_>| {
            let before = Timestamp::from(unit.ago(age));
            retention::delete_ended(unit, before, DELETED_AT_ONCE)
        };
        Box::pin(async move { database.write("delete_ended", delete).await })
    }

    fn count(&self) -> Answer<'_, Vec<StockCount>> {
        Box::pin(self.database.scan("count", count))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.database.read("ping", |unit| Ok(unit.query_row("SELECT 1", (), |_| Ok(()))?)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.database.close())
    }
}

/// The time by the database's clock.
fn now(unit: &mut Unit<'_>) -> Timestamp {
    Timestamp::from(unit.now())
}

fn add_product(unit: &mut Unit<'_>, product: &NewProduct) -> Result<(), Error> {
    let id = product.id.as_str();
    let added = unit.execute(
        "INSERT INTO products (product_id, name, unit_price, currency) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![id, product.name, product.unit_price.ten_thousandths(), product.unit_price.currency().as_str()],
    )?;
    if added == 0 {
        return Ok(());
    }
    unit.execute("INSERT INTO stock (product_id, on_hand) VALUES (?1, ?2)", params![id, product.received])?;
    if product.received > 0 {
        let now = now(unit).unix_millis();
        unit.execute(
            "INSERT INTO stock_movements (product_id, kind, quantity, at) VALUES (?1, 'received', ?2, ?3)",
            params![id, product.received, now],
        )?;
    }
    Ok(())
}

fn find_product(unit: &mut Unit<'_>, id: &ProductId) -> Result<Option<Product>, Error> {
    let found = unit.query_optional(
        "SELECT name, unit_price, currency, on_hand - reserved FROM products JOIN stock USING (product_id) \
         WHERE product_id = ?1",
        [id.as_str()],
        |row| {
            let (currency, available): (String, i64) = (row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, row.get(1)?, currency, available))
        },
    )?;
    let Some((name, price, currency, available)) = found else { return Ok(None) };
    let currency = currency.parse().map_err(|_| malformed("products.currency"))?;
    let available = u64::try_from(available).map_err(|_| malformed("stock.reserved"))?;
    Ok(Some(Product { id: id.clone(), name, unit_price: Money::new(price, currency), available }))
}

fn reserve(unit: &mut Unit<'_>, request: NewReservation) -> Result<Reservation, Error> {
    let now = now(unit);
    let newest = newest(unit, &request.order)?;
    domain::admit(&request.order, newest.as_ref(), request.epoch)?;
    match (domain::reserve(newest.as_ref(), request.generation, now)?, newest) {
        (ReserveStep::Repeat, Some(existing)) => {
            let is_same_key = existing.generation == request.generation;
            if is_same_key && !request.lines.are_held_as(&held_lines(unit, &existing)?) {
                return Err(Refusal::KeyReused.into());
            }
            see(unit, &existing, request.epoch)?;
            return Ok(existing);
        }
        (ReserveStep::HoldInstead(ends_as), Some(older)) => end(unit, &older, ends_as, request.epoch)?,
        (ReserveStep::Hold | ReserveStep::HoldInstead(_) | ReserveStep::Repeat, _) => {}
    }
    // All lines or none: a refusal rolls the whole unit back.
    for line in request.lines.iter() {
        take(unit, line)?;
    }
    let reservation = Reservation {
        order: request.order,
        generation: request.generation,
        state: ReservationState::Held,
        expires_at: now.plus(request.lasts),
        epoch: request.epoch,
    };
    insert(unit, &reservation)?;
    for line in request.lines.iter() {
        unit.execute(
            "INSERT INTO reservation_lines (order_id, generation, product_id, quantity) VALUES (?1, ?2, ?3, ?4)",
            params![
                reservation.order.as_str(),
                reservation.generation.number(),
                line.product.as_str(),
                line.quantity
            ],
        )?;
    }
    Ok(reservation)
}

/// Sets one line's stock aside.
fn take(unit: &mut Unit<'_>, line: &Line) -> Result<(), Error> {
    // A statement that returns what it has changed keeps it in a tree on the way; the price is read by itself.
    let taken = unit.execute(
        "UPDATE stock SET reserved = reserved + ?2 WHERE product_id = ?1 AND on_hand - reserved >= ?2",
        params![line.product.as_str(), line.quantity],
    )?;
    if taken == 0 {
        return Err(domain::refuse(line, find_product(unit, &line.product)?.as_ref()).into());
    }
    let (unit_price, currency) = unit.query_row(
        "SELECT unit_price, currency FROM products WHERE product_id = ?1",
        [line.product.as_str()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
    )?;
    let currency = currency.parse().map_err(|_| malformed("products.currency"))?;
    Ok(domain::check_price(line, Money::new(unit_price, currency))?)
}

fn commit(unit: &mut Unit<'_>, order: &OrderId, epoch: Epoch) -> Result<Reservation, Error> {
    let now = now(unit);
    let newest = newest(unit, order)?;
    domain::admit(order, newest.as_ref(), epoch)?;
    let step = domain::commit(order, newest.as_ref(), now)?;
    let Some(mut reservation) = newest else { return Err(Refusal::NoReservation(order.clone()).into()) };
    if step == CommitStep::Repeat {
        see(unit, &reservation, epoch)?;
        return Ok(reservation);
    }
    let (id, generation, at) = (order.as_str(), reservation.generation.number(), now.unix_millis());
    for HeldLine { product, quantity } in held_lines(unit, &reservation)? {
        unit.execute(
            "UPDATE stock SET on_hand = on_hand - ?2, reserved = reserved - ?2 WHERE product_id = ?1",
            params![product.as_str(), quantity],
        )?;
        unit.execute(
            "INSERT INTO stock_movements (product_id, kind, quantity, order_id, generation, at) \
             VALUES (?1, 'committed', ?2, ?3, ?4, ?5)",
            params![product.as_str(), quantity, id, generation, at],
        )?;
    }
    set_state(unit, &reservation, ReservationState::Committed, epoch)?;
    reservation.state = ReservationState::Committed;
    Ok(reservation)
}

fn release(unit: &mut Unit<'_>, order: OrderId, generation: Generation, epoch: Epoch) -> Result<bool, Error> {
    let newest = newest(unit, &order)?;
    domain::admit(&order, newest.as_ref(), epoch)?;
    let step = domain::release(newest.as_ref(), generation)?;
    let gives_back = matches!(step, ReleaseStep::GiveBack | ReleaseStep::GiveBackAndBury);
    if let Some(held) = newest.as_ref().filter(|_| gives_back) {
        end(unit, held, ReservationState::Released, epoch)?;
    }
    if let Some(newest) = newest.as_ref().filter(|_| step == ReleaseStep::Repeat) {
        see(unit, newest, epoch)?;
    }
    if matches!(step, ReleaseStep::Bury | ReleaseStep::GiveBackAndBury) {
        let state = ReservationState::Released;
        let expires_at = now(unit);
        insert(unit, &Reservation { order, generation, state, expires_at, epoch })?;
    }
    Ok(gives_back)
}

fn expire(unit: &mut Unit<'_>, max: u32) -> Result<u32, Error> {
    let now = now(unit).unix_millis();
    let due = unit.query_all(
        "SELECT order_id, generation, state, expires_at, lease_epoch FROM reservations \
         WHERE state = 'held' AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
        params![now, max],
        |row| Ok((row.get::<_, String>(0)?, StoredReservation::read(row, 1)?)),
    )?;
    let mut ended = 0;
    for (order, stored) in due {
        let order = order.parse().map_err(|_| malformed("reservations.order_id"))?;
        let held = stored.into_reservation(order)?;
        end(unit, &held, ReservationState::Expired, held.epoch)?;
        ended += 1;
    }
    Ok(ended)
}

/// Ends a hold without taking its stock.
fn end(
    unit: &mut Unit<'_>,
    held: &Reservation,
    ends_as: ReservationState,
    epoch: Epoch,
) -> Result<(), Error> {
    unit.execute(
        "UPDATE stock SET reserved = reserved - line.quantity FROM reservation_lines AS line \
         WHERE line.order_id = ?1 AND line.generation = ?2 AND line.product_id = stock.product_id",
        params![held.order.as_str(), held.generation.number()],
    )?;
    set_state(unit, held, ends_as, epoch)
}

fn set_state(
    unit: &mut Unit<'_>,
    held: &Reservation,
    state: ReservationState,
    epoch: Epoch,
) -> Result<(), Error> {
    let now = now(unit).unix_millis();
    let changed = unit.execute(
        "UPDATE reservations SET state = ?3, updated_at = ?4, lease_epoch = ?5 \
         WHERE order_id = ?1 AND generation = ?2 AND state = 'held'",
        params![held.order.as_str(), held.generation.number(), state.as_str(), now, epoch_row(epoch)],
    )?;
    // I12: what ended meanwhile is not ended again.
    if changed == 1 { Ok(()) } else { Err(Refusal::GivenBack(held.order.clone()).into()) }
}

/// Remembers a runner whose request changed nothing else.
fn see(unit: &mut Unit<'_>, newest: &Reservation, epoch: Epoch) -> Result<(), Error> {
    if newest.epoch.is_overtaken_by(epoch) {
        unit.execute(
            "UPDATE reservations SET lease_epoch = ?3 WHERE order_id = ?1 AND generation = ?2",
            params![newest.order.as_str(), newest.generation.number(), epoch_row(epoch)],
        )?;
    }
    Ok(())
}

fn insert(unit: &mut Unit<'_>, reservation: &Reservation) -> Result<(), Error> {
    let now = now(unit).unix_millis();
    unit.execute(
        "INSERT INTO reservations (order_id, generation, state, expires_at, created_at, updated_at, lease_epoch) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)",
        params![
            reservation.order.as_str(),
            reservation.generation.number(),
            reservation.state.as_str(),
            reservation.expires_at.unix_millis(),
            now,
            epoch_row(reservation.epoch)
        ],
    )?;
    Ok(())
}

fn newest(unit: &mut Unit<'_>, order: &OrderId) -> Result<Option<Reservation>, Error> {
    let stored = unit.query_optional(
        "SELECT generation, state, expires_at, lease_epoch FROM reservations WHERE order_id = ?1 \
         ORDER BY generation DESC LIMIT 1",
        [order.as_str()],
        |row| StoredReservation::read(row, 0),
    )?;
    stored.map(|stored| stored.into_reservation(order.clone())).transpose()
}

/// In the order of their products.
fn held_lines(unit: &mut Unit<'_>, reservation: &Reservation) -> Result<Vec<HeldLine>, Error> {
    let rows = unit.query_all(
        "SELECT product_id, quantity FROM reservation_lines WHERE order_id = ?1 AND generation = ?2 \
         ORDER BY product_id",
        params![reservation.order.as_str(), reservation.generation.number()],
        |row| Ok((row.get::<_, String>(0)?, row.get(1)?)),
    )?;
    let line = |(product, quantity): (String, u32)| {
        let product = product.parse().map_err(|_| malformed("reservation_lines.product_id"))?;
        Ok(HeldLine { product, quantity })
    };
    rows.into_iter().map(line).collect()
}

fn count(unit: &mut Unit<'_>) -> Result<Vec<StockCount>, Error> {
    let rows = unit.query_all(
        "SELECT product_id, on_hand, reserved, \
           (SELECT coalesce(sum(quantity), 0) FROM stock_movements AS movement \
            WHERE movement.product_id = stock.product_id AND kind = 'received'), \
           (SELECT coalesce(sum(quantity), 0) FROM stock_movements AS movement \
            WHERE movement.product_id = stock.product_id AND kind = 'committed'), \
           (SELECT coalesce(sum(quantity), 0) FROM reservation_lines JOIN reservations USING (order_id, generation) \
            WHERE reservation_lines.product_id = stock.product_id AND state = 'held'), \
           (SELECT coalesce(sum(quantity), 0) FROM reservation_lines JOIN reservations USING (order_id, generation) \
            WHERE reservation_lines.product_id = stock.product_id AND state = 'committed'), \
           (SELECT coalesce(sum(committed), 0) FROM stock_brought_forward AS brought_forward \
            WHERE brought_forward.product_id = stock.product_id) \
         FROM stock ORDER BY product_id",
        (),
        |row| {
            let id: String = row.get(0)?;
            let counts: [i64; 7] = [
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
            ];
            Ok((id, counts))
        },
    )?;
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
    rows.into_iter().map(to_count).collect()
}

/// The columns `generation, state, expires_at, lease_epoch`.
struct StoredReservation {
    generation: u32,
    state: String,
    expires_at: i64,
    epoch: u32,
}

impl StoredReservation {
    fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<StoredReservation> {
        Ok(StoredReservation {
            generation: row.get(first)?,
            state: row.get(first + 1)?,
            expires_at: row.get(first + 2)?,
            epoch: row.get(first + 3)?,
        })
    }

    fn into_reservation(self, order: OrderId) -> Result<Reservation, Error> {
        Ok(Reservation {
            order,
            generation: Generation::new(self.generation),
            state: ReservationState::from_name(&self.state).ok_or_else(|| malformed("reservations.state"))?,
            expires_at: Timestamp::from_unix_millis(self.expires_at)
                .map_err(|_| malformed("reservations.expires_at"))?,
            epoch: Epoch::new(self.epoch.into()),
        })
    }
}

/// Epochs count take-overs from 1; none comes near the end of the range.
fn epoch_row(epoch: Epoch) -> u32 {
    u32::try_from(epoch.number()).unwrap_or(u32::MAX)
}

fn malformed(what: &'static str) -> Error {
    Error::Store(waypost_durable::Error::Malformed { what })
}
