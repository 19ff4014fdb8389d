//! A day of a shop's traffic as traces, with faults at known times and places. Everything follows from the seed.
//!
//! Two entries of the gateway, behind one of them order, inventory and payment; three instances of each service, two versions of
//! the order service side by side, log-normal latencies, more traffic by day, a few random errors and retries, and attributes
//! that have nothing to do with any fault.

use crate::numbers::Numbers;
use serde_json::{Value, json};

/// Midnight of a day in 2026, in nanoseconds since 1970.
pub(crate) const MIDNIGHT: u64 = 20_700 * 86_400 * SECOND;
pub(crate) const HOUR: u64 = 3_600 * SECOND;
const SECOND: u64 = 1_000_000_000;

/// What goes wrong for an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Version 1.5.0 of the gateway, which comes with this hour, takes three times as long for products.
    Regression,
    /// Version 2.3.0 of the order service asks for each item by itself.
    RepeatedCalls,
    /// Instance inventory-2 takes eight times as long.
    BadInstance,
    /// Two of three payments by one brand of cards fail, and are tried again.
    ErrorBurst,
    /// The gateway's cache of products has nothing.
    CacheLoss,
    /// The inventory's database takes a hundred times as long.
    SlowDatabase,
}

/// Each with the hour of the day in which it is there.
pub(crate) const FAULTS: [(Fault, u64); 6] = [
    (Fault::Regression, 9),
    (Fault::RepeatedCalls, 11),
    (Fault::BadInstance, 13),
    (Fault::ErrorBurst, 15),
    (Fault::CacheLoss, 17),
    (Fault::SlowDatabase, 20),
];

fn one_of<T: Copy>(numbers: &mut Numbers, list: &[T]) -> T {
    list[usize::try_from(numbers.next() % list.len() as u64).unwrap()]
}

/// Nanoseconds about so many milliseconds (log-normal; the middle is the argument).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds of a call")]
fn about(numbers: &mut Numbers, milliseconds: f64) -> u64 {
    (milliseconds * (0.25 * numbers.normal()).exp() * 1e6) as u64
}

/// A trace while it is made: spans one after the other, each begun where the one before it ended.
struct Story<'a> {
    numbers: &'a mut Numbers,
    trace: String,
    now: u64,
    spans: Vec<(Process, Value)>,
    begun: u64,
}

/// Who a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    service: &'static str,
    instance: u64,
    version: &'static str,
}

impl Story<'_> {
    fn of(&mut self, service: &'static str, version: &'static str) -> Process {
        Process { service, instance: 1 + self.numbers.next() % 3, version }
    }

    /// Begins a span; its place and id.
    fn begin(&mut self, process: Process, name: &str, kind: u64, parent: Option<&str>) -> (usize, String) {
        self.begun += 1;
        let id = format!("{:016x}", self.begun);
        let mut span = json!({
            "traceId": self.trace, "spanId": id, "name": name, "kind": kind,
            "startTimeUnixNano": self.now.to_string(), "attributes": [],
        });
        if let Some(parent) = parent {
            span["parentSpanId"] = json!(parent);
        }
        self.spans.push((process, span));
        (self.spans.len() - 1, id)
    }

    fn end(&mut self, place: usize, has_failed: bool) {
        let span = &mut self.spans[place].1;
        span["endTimeUnixNano"] = json!(self.now.to_string());
        if has_failed {
            span["status"] = json!({"code": 2, "message": "it went wrong"});
        }
    }

    fn text(&mut self, place: usize, key: &str, value: &str) {
        let attribute = json!({"key": key, "value": {"stringValue": value}});
        self.spans[place].1["attributes"].as_array_mut().unwrap().push(attribute);
    }

    fn work(&mut self, milliseconds: f64) {
        self.now += about(self.numbers, milliseconds);
    }

    fn query(
        &mut self,
        process: Process,
        parent: &str,
        (database, statement): (&str, &str),
        milliseconds: f64,
    ) {
        let (place, _) = self.begin(process, "SELECT", 3, Some(parent));
        self.text(place, "db.system.name", "sqlite");
        self.text(place, "db.namespace", database);
        self.text(place, "db.query.text", statement);
        self.work(milliseconds);
        self.end(place, false);
    }

    /// A call to another service: the client's span around the server's.
    fn call(
        &mut self,
        from: (Process, &str),
        to: Process,
        name: &str,
        serve: impl FnOnce(&mut Self, usize, &str) -> bool,
    ) -> bool {
        let (client, client_id) = self.begin(from.0, name, 3, Some(from.1));
        self.text(client, "rpc.method", name);
        self.work(0.3);
        let (server, server_id) = self.begin(to, name, 2, Some(&client_id));
        self.text(server, "rpc.method", name);
        let has_failed = serve(self, server, &server_id);
        self.end(server, has_failed);
        self.work(0.3);
        self.end(client, has_failed);
        has_failed
    }
}

fn products(story: &mut Story<'_>, fault: Option<Fault>) {
    let is_slower = fault == Some(Fault::Regression);
    let gateway = story.of("gateway", if is_slower { "1.5.0" } else { "1.4.0" });
    let (root, id) = story.begin(gateway, "GET /api/products", 2, None);
    visitor(story, root);
    story.work(if is_slower { 45.0 } else { 15.0 });
    let (lookup, _) = story.begin(gateway, "products", 1, Some(&id));
    let misses = fault == Some(Fault::CacheLoss) || story.numbers.part() < 0.02;
    story.text(lookup, "cache.name", "products");
    let hit = json!({"key": "cache.hit", "value": {"boolValue": !misses}});
    story.spans[lookup].1["attributes"].as_array_mut().unwrap().push(hit);
    story.work(0.2);
    story.end(lookup, false);
    if misses {
        story.query(gateway, &id, ("products", "SELECT * FROM products WHERE shelf = 1"), 12.0);
    }
    let has_failed = story.numbers.part() < 0.01;
    story.end(root, has_failed);
}

/// What has nothing to do with any fault.
fn visitor(story: &mut Story<'_>, root: usize) {
    for (key, values) in [
        ("user.tier", ["free", "plus", "gold", "none"]),
        ("client.region", ["north", "south", "east", "west"]),
        ("device", ["phone", "phone", "desk", "table"]),
    ] {
        let value = one_of(story.numbers, &values);
        story.text(root, key, value);
    }
}

fn orders(story: &mut Story<'_>, fault: Option<Fault>) {
    let gateway = story.of("gateway", if fault == Some(Fault::Regression) { "1.5.0" } else { "1.4.0" });
    let version = if story.numbers.part() < 0.4 { "2.3.0" } else { "2.2.0" };
    let order = story.of("order", version);
    let (root, id) = story.begin(gateway, "POST /api/orders", 2, None);
    visitor(story, root);
    story.work(4.0);
    let has_failed =
        story.call((gateway, &id), order, "CreateOrder", |story, _, id| create(story, order, id, fault));
    story.end(root, has_failed);
}

fn create(story: &mut Story<'_>, order: Process, id: &str, fault: Option<Fault>) -> bool {
    story.work(6.0);
    let asks = if fault == Some(Fault::RepeatedCalls) && order.version == "2.3.0" { 12 } else { 1 };
    for _ in 0..asks {
        story.query(order, id, ("orders", "SELECT price FROM items WHERE id = 7"), 5.0);
    }
    let inventory = story.of("inventory", "3.0.1");
    story.call((order, id), inventory, "Reserve", |story, _, id| {
        let is_bad = fault == Some(Fault::BadInstance) && inventory.instance == 2;
        story.work(if is_bad { 64.0 } else { 8.0 });
        let database = if fault == Some(Fault::SlowDatabase) { 150.0 } else { 1.5 };
        story.query(inventory, id, ("stock", "SELECT count FROM stock WHERE id = 7"), database);
        false
    });
    let payment = story.of("payment", "4.1.0");
    let brand = one_of(story.numbers, &["visa", "amex", "jcb", "unionpay"]);
    for attempt in 0..3 {
        let has_failed = story.call((order, id), payment, "Authorise", |story, server, _| {
            story.text(server, "card.brand", brand);
            story.work(30.0);
            let failing = if fault == Some(Fault::ErrorBurst) && brand == "amex" { 0.66 } else { 0.01 };
            story.numbers.part() < failing
        });
        if !has_failed {
            return false;
        }
        if attempt < 2 {
            story.work(5.0);
        }
    }
    true
}

/// The traces that begin in an hour of the day, as a document to import.
pub(crate) fn hour(seed: u64, hour: u64, has_faults: bool) -> Value {
    let mut numbers = Numbers::new(seed.wrapping_mul(1_000).wrapping_add(hour));
    let fault = FAULTS.iter().find(|(_, at)| has_faults && *at == hour).map(|(fault, _)| *fault);
    let traces = if (7..23).contains(&hour) { 160 } else { 60 };
    let mut by_process: std::collections::BTreeMap<Process, Vec<Value>> = std::collections::BTreeMap::new();
    for number in 0..traces {
        let begin = MIDNIGHT + hour * HOUR + number * (HOUR / traces);
        let trace = format!("{:016x}{:016x}", numbers.next() | 1, hour * 1_000 + number);
        let mut story = Story { numbers: &mut numbers, trace, now: begin, spans: Vec::new(), begun: 0 };
        if number % 2 == 0 {
            products(&mut story, fault);
        } else {
            orders(&mut story, fault);
        }
        for (process, span) in story.spans {
            by_process.entry(process).or_default().push(span);
        }
    }
    let resources = by_process.into_iter().map(|(process, spans)| {
        let Process { service, instance, version } = process;
        let text = |key: &str, value: String| json!({"key": key, "value": {"stringValue": value}});
        let attributes = json!([
            text("service.name", service.to_owned()),
            text("service.version", version.to_owned()),
            text("service.instance.id", format!("{service}-{instance}")),
        ]);
        json!({"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]})
    });
    json!({"resourceSpans": resources.collect::<Vec<Value>>()})
}
