//! Spans and metrics of MongoDB, from the events of the `mongodb` driver: no wrapper around its client.
//!
//! [`MongoDb`] says what is shown and is put into the options that a client is made with. Each command becomes a CLIENT span with
//! its namespace, collection and masked shape, and a measurement; what the pool of connections tells becomes
//! `db.client.connection.*`. The driver tells of a command where the program waits for it, so the span is a child of what is
//! current there. A command that was given up is found by its connection, which is given back without an answer.
//! Values are never recorded, nor the ids of sessions and transactions.
//! Left out: what is no command, such as the monitoring of servers, and a span around several commands of one operation.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use mongodb::bson::{Document, doc};
//! use mongodb::{Client, options::ClientOptions};
//!
//! let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
//! let options = ClientOptions::parse("mongodb://mongodb.internal").await?;
//! let client = Client::with_options(telemetry.mongodb().observe(options))?;
//! client.database("shop").collection::<Document>("orders").find_one(doc! { "customer": "u-1" }).await?;
//! telemetry.tree().assert_matches("\"find orders\" CLIENT order-service db.namespace=shop");
//! # Ok(())
//! # }
//! ```

mod commands;
mod operation;
mod place;
mod pool;
mod reply;
mod shape;

use std::fmt;
use std::sync::Arc;

use mongodb::event::EventHandler;
use mongodb::options::ClientOptions;

use crate::base::bounded_set::BoundedSet;
use crate::core::handle::Telemetry;
use crate::core::readings::database::operation_durations;
use crate::core::series::DurationSeries;
use crate::core::spawn::spawn;
use commands::Commands;
use operation::Labels;
use place::{Hosts, Places};
use pool::Pools;

/// How many different commands and collections the names of spans and metrics show; what comes after them has no collection
/// there, and its command is `_OTHER`.
const MAX_COLLECTIONS: usize = 256;
const MAX_COMMANDS: usize = 128;

/// What `db.query.text` shows of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryText {
    /// Nothing: there is no `db.query.text`.
    Off,
    /// Its fields, and `?` for each value: `{find: "orders", filter: {customer: ?}, limit: ?}`.
    #[default]
    Shape,
}

/// A MongoDB as its clients see it. Cheap to clone.
///
/// ```
/// use waypost_telemetry::mongodb::QueryText;
///
/// let telemetry = waypost_telemetry::testing::TestTelemetry::new("order-service");
/// let mongodb = telemetry.mongodb().query_text(QueryText::Off).require_parent(true);
/// assert!(format!("{mongodb:?}").contains("Off"));
/// ```
#[derive(Clone)]
pub struct MongoDb {
    telemetry: Telemetry,
    text: QueryText,
    requires_parent: bool,
}

impl MongoDb {
    /// A MongoDB whose commands are spans of this handle; the same as [`Telemetry::mongodb`].
    pub fn new(telemetry: &Telemetry) -> Self {
        Self { telemetry: telemetry.clone(), text: QueryText::default(), requires_parent: false }
    }

    /// What `db.query.text` shows. [`QueryText::Shape`] unless said.
    #[must_use]
    pub fn query_text(mut self, text: QueryText) -> Self {
        self.text = text;
        self
    }

    /// Whether a command outside of any span has none of its own; it is measured all the same. For programs that ask MongoDB
    /// all the time in the background, whose traces would be of one span each.
    #[must_use]
    pub fn require_parent(mut self, requires_parent: bool) -> Self {
        self.requires_parent = requires_parent;
        self
    }

    /// The options of a client whose commands and connections are seen. Handlers of events that are in them already are told
    /// as before.
    #[must_use]
    pub fn observe(&self, mut options: ClientOptions) -> ClientOptions {
        let commands = Arc::new(Commands::new(Shared::new(self)));
        let pools = Pools::new(&self.telemetry);
        let (seen, user) = (Arc::clone(&commands), options.command_event_handler.take());
        options.command_event_handler = Some(EventHandler::callback(move |event| {
            seen.see(&event);
            pass_on(user.as_ref(), event);
        }));
        let user = options.cmap_event_handler.take();
        options.cmap_event_handler = Some(EventHandler::callback(move |event| {
            commands.see_connection(&event);
            pools.see(&event);
            pass_on(user.as_ref(), event);
        }));
        options
    }
}

/// Tells a handler of the program.
fn pass_on<E: Send + 'static>(handler: Option<&EventHandler<E>>, event: E) {
    match handler {
        Some(EventHandler::Callback(tell)) => tell(event),
        Some(EventHandler::AsyncCallback(tell)) => drop(spawn(tell(event))),
        Some(EventHandler::TokioMpsc(sender)) => {
            let sender = sender.clone();
            // Nobody reads any more: nobody wants to know.
            drop(spawn(async move { drop(sender.send(event).await) }));
        }
        _ => {}
    }
}

/// What the commands of one client have in common.
struct Shared {
    telemetry: Telemetry,
    text: QueryText,
    requires_parent: bool,
    duration: DurationSeries<Labels>,
    collections: BoundedSet,
    commands: BoundedSet,
    places: Places,
    hosts: Hosts,
}

impl Shared {
    fn new(mongodb: &MongoDb) -> Arc<Self> {
        let duration = operation_durations(mongodb.telemetry.meter());
        Arc::new(Self {
            telemetry: mongodb.telemetry.clone(),
            text: mongodb.text,
            requires_parent: mongodb.requires_parent,
            duration: DurationSeries::new(duration, &mongodb.telemetry),
            collections: BoundedSet::new(MAX_COLLECTIONS),
            commands: BoundedSet::new(MAX_COMMANDS),
            places: Places::default(),
            hosts: Hosts::default(),
        })
    }
}

impl Telemetry {
    /// A MongoDB whose commands are spans of this handle.
    pub fn mongodb(&self) -> MongoDb {
        MongoDb::new(self)
    }
}

impl fmt::Debug for MongoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoDb")
            .field("text", &self.text)
            .field("requires_parent", &self.requires_parent)
            .finish_non_exhaustive()
    }
}
