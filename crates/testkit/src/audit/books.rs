//! The rows that the rules are about, as values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// `pending`, `confirmed`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// Why it failed.
    pub failure_code: Option<String>,
    /// What was ordered.
    pub product: String,
    /// How many.
    pub quantity: i64,
    /// Ten-thousandths.
    pub amount: i64,
}

/// A payment, as the payment service knows it. Money is in ten-thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its id, which is our reference at the provider.
    pub id: String,
    /// The order that pays.
    pub order: String,
    /// As in the database.
    pub state: String,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
}

/// A charge, as the provider knows it. Money is in ten-thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Its id.
    pub id: String,
    /// The payment it is for.
    pub reference: String,
    /// As in the database.
    pub status: String,
    /// Taken.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
}

/// All books at about one moment; each database is read in one go.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// By id.
    pub orders: BTreeMap<String, Order>,
    /// Every payment.
    pub payments: Vec<Payment>,
    /// Every charge.
    pub charges: Vec<Charge>,
    /// Orders that hold stock.
    pub held: BTreeSet<String>,
    /// What each order took from stock: product and pieces.
    pub taken: BTreeMap<String, Vec<(String, i64)>>,
    /// The subjects of each order's messages.
    pub told: BTreeMap<String, Vec<String>>,
    /// Refunds that are not done: order and state.
    pub open_refunds: Vec<(String, String)>,
    /// Events that wait to be published.
    pub unsent: i64,
    /// Pieces reserved over all products, by the stock itself.
    pub reserved: i64,
    /// Products of which more or less is there than was received and not taken.
    pub wrong_shelves: Vec<String>,
    /// Debits less credits of our ledger.
    pub imbalance: i64,
    /// Sales in our ledger.
    pub sales: i64,
    /// Captures less refunds in the provider's ledger.
    pub provider_ledger: i64,
}

impl Books {
    /// Reads every database of a data folder.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn read(data: &Path) -> anyhow::Result<Books> {
        let mut books = Books::default();
        books.read_provider(&open(data, "provider")?)?;
        books.read_payment(&open(data, "payment")?)?;
        books.read_inventory(&open(data, "inventory")?)?;
        books.read_order(&open(data, "order")?)?;
        books.read_notification(&open(data, "notification")?)?;
        Ok(books)
    }

    /// Reads every schema of a PostgreSQL server, by the URL of its database.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub async fn read_server(url: &str) -> anyhow::Result<Books> {
        let mut books = Books::default();
        books.read_provider(&copy(url, "provider").await?)?;
        books.read_payment(&copy(url, "payment").await?)?;
        books.read_inventory(&copy(url, "inventory").await?)?;
        books.read_order(&copy(url, "order").await?)?;
        books.read_notification(&copy(url, "notification").await?)?;
        Ok(books)
    }

    fn read_order(&mut self, database: &Connection) -> anyhow::Result<()> {
        let orders = "SELECT order_id, status, failure_code, product_id, quantity, amount FROM orders";
        let order = |row: &Row<'_>| {
            Ok(Order {
                id: row.get(0)?,
                status: row.get(1)?,
                failure_code: row.get(2)?,
                product: row.get(3)?,
                quantity: row.get(4)?,
                amount: row.get(5)?,
            })
        };
        let orders = rows(database, orders, order)?;
        self.orders = orders.into_iter().map(|order| (order.id.clone(), order)).collect();
        self.unsent = number(database, "SELECT COUNT(*) FROM outbox WHERE published_at IS NULL")?;
        Ok(())
    }

    fn read_payment(&mut self, database: &Connection) -> anyhow::Result<()> {
        let payments = "SELECT payment_id, order_id, state, captured, refunded FROM payments";
        self.payments = rows(database, payments, |row| {
            Ok(Payment {
                id: row.get(0)?,
                order: row.get(1)?,
                state: row.get(2)?,
                captured: row.get(3)?,
                refunded: row.get(4)?,
            })
        })?;
        let refunds = "SELECT order_id, state FROM refunds WHERE state = 'pending'";
        self.open_refunds = rows(database, refunds, |row| Ok((row.get(0)?, row.get(1)?)))?;
        self.imbalance = number(
            database,
            "SELECT (SELECT COALESCE(SUM(debit) - SUM(credit), 0) FROM ledger_entries) \
                 + (SELECT COALESCE(SUM(debit) - SUM(credit), 0) FROM ledger_brought_forward)",
        )?;
        let sales = "SELECT (SELECT COALESCE(SUM(credit) - SUM(debit), 0) FROM ledger_entries WHERE account = 'sales') \
             + (SELECT COALESCE(SUM(credit) - SUM(debit), 0) FROM ledger_brought_forward WHERE account = 'sales')";
        self.sales = number(database, sales)?;
        Ok(())
    }

    fn read_provider(&mut self, database: &Connection) -> anyhow::Result<()> {
        let charges = "SELECT id, reference, status, captured, refunded FROM charges";
        self.charges = rows(database, charges, |row| {
            Ok(Charge {
                id: row.get(0)?,
                reference: row.get(1)?,
                status: row.get(2)?,
                captured: row.get(3)?,
                refunded: row.get(4)?,
            })
        })?;
        let ledger = "SELECT captured - refunded \
             + (SELECT COALESCE(SUM(CASE kind WHEN 'capture' THEN amount ELSE -amount END), 0) FROM ledger) \
             FROM brought_forward";
        self.provider_ledger = number(database, ledger)?;
        Ok(())
    }

    fn read_inventory(&mut self, database: &Connection) -> anyhow::Result<()> {
        let held = "SELECT order_id FROM reservations WHERE state = 'held'";
        self.held = rows(database, held, |row| row.get(0))?.into_iter().collect();
        let taken = "SELECT order_id, product_id, quantity FROM stock_movements WHERE kind = 'committed'";
        for (order, product, quantity) in
            rows(database, taken, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        {
            self.taken.entry(order).or_default().push((product, quantity));
        }
        self.reserved = number(database, "SELECT COALESCE(SUM(reserved), 0) FROM stock")?;
        let wrong = "SELECT product_id FROM stock JOIN (SELECT product_id, SUM(CASE kind WHEN 'received'
             THEN quantity ELSE -quantity END) AS left FROM stock_movements GROUP BY product_id) USING (product_id)
             WHERE on_hand <> left";
        self.wrong_shelves = rows(database, wrong, |row| row.get(0))?;
        Ok(())
    }

    fn read_notification(&mut self, database: &Connection) -> anyhow::Result<()> {
        let told = "SELECT order_id, subject FROM notifications";
        for (order, subject) in rows(database, told, |row| Ok((row.get(0)?, row.get(1)?)))? {
            self.told.entry(order).or_default().push(subject);
        }
        Ok(())
    }
}

/// What the books need of each schema: tables and columns.
const COPIED: &[(&str, &str, &str)] = &[
    ("provider", "charges", "id, reference, status, captured, refunded"),
    ("provider", "ledger", "kind, amount"),
    ("provider", "brought_forward", "captured, refunded"),
    ("payment", "payments", "payment_id, order_id, state, captured, refunded"),
    ("payment", "refunds", "order_id, state"),
    ("payment", "ledger_entries", "account, debit, credit"),
    ("payment", "ledger_brought_forward", "account, debit, credit"),
    ("inventory", "reservations", "order_id, state"),
    ("inventory", "stock_movements", "order_id, product_id, kind, quantity"),
    ("inventory", "stock", "product_id, on_hand, reserved"),
    ("order", "orders", "order_id, status, failure_code, product_id, quantity, amount"),
    ("order", "outbox", "published_at"),
    ("notification", "notifications", "order_id, subject"),
];

/// A schema's rows in a database that is read as the embedded one is. They are of one moment.
async fn copy(url: &str, name: &str) -> anyhow::Result<Connection> {
    let copy = Connection::open_in_memory()?;
    let mut server = PgConnection::connect(url).await.with_context(|| format!("connecting for {name}"))?;
    server.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    for (_, table, columns) in COPIED.iter().filter(|(of, _, _)| *of == name) {
        let columns: Vec<&str> = columns.split(", ").collect();
        copy.execute_batch(&format!("CREATE TABLE {table} ({})", columns.join(", ")))?;
        let texts: Vec<String> = columns.iter().map(|column| format!("{column}::text")).collect();
        let select = format!("SELECT {} FROM waypost_{name}.{table}", texts.join(", "));
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(&mut server).await;
        let rows = rows.with_context(|| format!("reading {table} of {name}"))?;
        let mut insert = copy.prepare(&format!("INSERT INTO {table} VALUES ({})", places.join(", ")))?;
        for row in rows {
            let values = (0..columns.len()).map(|column| {
                let text: Option<String> = row.try_get(column)?;
                Ok(match text {
                    Some(text) => text.parse().map_or(Value::Text(text), Value::Integer),
                    None => Value::Null,
                })
            });
            let values = values.collect::<Result<Vec<Value>, sqlx::Error>>()?;
            insert.execute(params_from_iter(values))?;
        }
    }
    server.close().await?;
    Ok(copy)
}

fn open(data: &Path, name: &str) -> anyhow::Result<Connection> {
    let path = crate::database(data, name);
    let connection = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("opening {}", path.display()))?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // One snapshot of all tables; it ends with the connection.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

fn rows<T>(
    database: &Connection,
    sql: &str,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut statement = database.prepare(sql).with_context(|| sql.to_owned())?;
    let rows = statement.query_map([], row)?.collect::<rusqlite::Result<Vec<T>>>();
    rows.with_context(|| sql.to_owned())
}

fn number(database: &Connection, sql: &str) -> anyhow::Result<i64> {
    database.query_row(sql, [], |row| row.get(0)).with_context(|| sql.to_owned())
}
