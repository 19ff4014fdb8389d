//! The console story: one line a step, in the order in which things began.
//!
//! A rule says which lines a span tells: one when it begins, one when it ends well or badly. The story is the
//! sequence of those lines; the lines of one step stay together even when two steps ran side by side.

use super::{Kind, Span, Trace, took};
use crate::console::Style;

/// What stands before a line. With [`Style::Plain`] the words alone remain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Request,
    Order,
    Stock,
    Payment,
    Store,
    Letter,
    Passed,
    Arrow,
    Undone,
    Finished,
    Failed,
}

impl Mark {
    fn shown(self, style: Style) -> &'static str {
        let (rich, plain) = match self {
            Mark::Request => ("📥", "*"),
            Mark::Order => ("📦", "*"),
            Mark::Stock => ("📊", "*"),
            Mark::Payment => ("💳", "*"),
            Mark::Store => ("💾", "*"),
            Mark::Letter => ("📧", "*"),
            Mark::Passed => ("  ✓", "  ok"),
            Mark::Arrow => ("    →", "    ->"),
            Mark::Undone => ("  ↩", "  undone"),
            Mark::Finished => ("✅", "OK"),
            Mark::Failed => ("❌", "FAILED"),
        };
        if style.is_rich() { rich } else { plain }
    }
}

/// A line of the story. `text` may name `{order.id}` and other attributes; an unknown one becomes "?".
#[derive(Clone, Copy)]
struct Line {
    mark: Mark,
    speaker: &'static str,
    text: &'static str,
}

/// Which lines a span tells.
struct Rule {
    /// Name of the span; a name that ends in `*` is a prefix.
    span: &'static str,
    kind: Kind,
    begins: Option<Line>,
    ends: Option<Line>,
    /// Who speaks when it failed, and of what.
    failed: Option<(&'static str, &'static str)>,
    /// The end stands where it happened in time, after the lines of later spans, and not below its beginning.
    ends_apart: bool,
}

impl Rule {
    const fn new(span: &'static str, kind: Kind) -> Rule {
        Rule { span, kind, begins: None, ends: None, failed: None, ends_apart: false }
    }

    const fn begins(mut self, mark: Mark, speaker: &'static str, text: &'static str) -> Rule {
        self.begins = Some(Line { mark, speaker, text });
        self
    }

    const fn ends(mut self, mark: Mark, speaker: &'static str, text: &'static str) -> Rule {
        self.ends = Some(Line { mark, speaker, text });
        self
    }

    const fn fails(mut self, speaker: &'static str, what: &'static str) -> Rule {
        self.failed = Some((speaker, what));
        self
    }

    const fn ends_apart(mut self) -> Rule {
        self.ends_apart = true;
        self
    }

    fn is_for(&self, span: &Span) -> bool {
        let has_name = match self.span.strip_suffix('*') {
            Some(prefix) => span.name.starts_with(prefix),
            None => span.name == self.span,
        };
        has_name && span.kind == self.kind
    }
}

const GATEWAY: &str = "API Gateway";
const USERS: &str = "User Service";
const ORDERS: &str = "Order Service";
const INVENTORY: &str = "Inventory Service";
const PAYMENTS: &str = "Payment Service";
const PROVIDER: &str = "Payment Gateway";
const DATABASE: &str = "Database";
const NOTIFICATIONS: &str = "Notification Service";

/// The story of an order, top-down as an order usually goes. The words are those of the reference sample.
const RULES: &[Rule] = &[
    Rule::new("POST /api/orders", Kind::Server)
        .begins(Mark::Request, GATEWAY, "Received order request")
        .ends(Mark::Finished, GATEWAY, "Order created: {order.id}")
        .fails(GATEWAY, "Order not created")
        .ends_apart(),
    Rule::new("check-user", Kind::Internal)
        .ends(Mark::Passed, USERS, "User {user.id} may order")
        .fails(USERS, "User refused"),
    Rule::new("create-order", Kind::Internal)
        .begins(Mark::Order, ORDERS, "Processing order...")
        .ends(Mark::Finished, ORDERS, "Order created: {order.id}")
        .fails(ORDERS, "Order failed")
        .ends_apart(),
    Rule::new("validate-order", Kind::Internal)
        .ends(Mark::Passed, ORDERS, "Order validated")
        .fails(ORDERS, "Order refused"),
    Rule::new("save-order", Kind::Internal)
        .begins(Mark::Store, DATABASE, "Saving order...")
        .ends(Mark::Passed, DATABASE, "Order {order.id} saved")
        .fails(DATABASE, "Order not saved"),
    Rule::new("check-inventory", Kind::Internal)
        .begins(Mark::Stock, INVENTORY, "Checking stock...")
        .ends(Mark::Passed, INVENTORY, "Stock available")
        .fails(INVENTORY, "Stock not held"),
    Rule::new("process-payment", Kind::Internal)
        .begins(Mark::Payment, PAYMENTS, "Processing payment...")
        .ends(Mark::Passed, PAYMENTS, "Payment authorized")
        .fails(PAYMENTS, "Payment failed"),
    Rule::new("authorize-payment", Kind::Internal).ends(Mark::Arrow, PROVIDER, "Authorization complete"),
    Rule::new("confirm-order", Kind::Internal)
        .ends(Mark::Passed, ORDERS, "Order confirmed")
        .fails(ORDERS, "Order not confirmed"),
    Rule::new("capture-charge", Kind::Internal).ends(Mark::Arrow, PROVIDER, "Capture complete"),
    Rule::new("capture-payment", Kind::Internal)
        .ends(Mark::Passed, PAYMENTS, "Payment successful")
        .fails(PAYMENTS, "Payment not captured"),
    Rule::new("commit-stock", Kind::Internal)
        .ends(Mark::Passed, INVENTORY, "Stock taken")
        .fails(INVENTORY, "Stock not taken"),
    Rule::new("release-stock", Kind::Internal)
        .ends(Mark::Undone, INVENTORY, "Stock released")
        .fails(INVENTORY, "Stock not released"),
    Rule::new("void-payment", Kind::Internal)
        .ends(Mark::Undone, PAYMENTS, "Authorization given up")
        .fails(PAYMENTS, "Authorization not given up"),
    Rule::new("process *", Kind::Consumer)
        .ends(Mark::Letter, NOTIFICATIONS, "Notification written for order {order.id}")
        .fails(NOTIFICATIONS, "Notification not written"),
];

/// What stands in the story when the error is one that a reader knows.
fn known_failure(error: &str) -> Option<&'static str> {
    match error {
        "out_of_stock" => Some("Out of stock"),
        "payment_declined" => Some("Payment declined"),
        _ => None,
    }
}

/// The story, a line an entry.
pub(crate) fn story(trace: &Trace, style: Style) -> Vec<String> {
    let mut entries = Vec::new();
    for root in &trace.roots {
        tell(trace, *root, 0, style, &mut entries);
    }
    // Stable: lines of one moment keep the order of the tree.
    entries.sort_by_key(|entry: &Entry| entry.at);
    entries.into_iter().map(|entry| entry.text).collect()
}

struct Entry {
    /// Where the line stands: nanoseconds since the epoch.
    at: u64,
    text: String,
}

/// `step` is the moment at which the step around this span began, 0 outside any step.
fn tell(trace: &Trace, index: usize, step: u64, style: Style, entries: &mut Vec<Entry>) {
    let span = &trace.spans[index];
    let rule = RULES.iter().find(|rule| rule.is_for(span));
    // All lines of a step stand at its beginning; what holds steps (`ends_apart`) is no step itself.
    let begins_step = rule.is_some_and(|rule| !rule.ends_apart);
    let within = if step == 0 && begins_step { span.start } else { step };

    if let Some(begins) = rule.and_then(|rule| rule.begins) {
        let at = if within == 0 { span.start } else { within };
        entries.push(Entry { at, text: begins.told(trace, span, style, None) });
    }
    for child in &trace.children[index] {
        // The notification is a step of its own, wherever it hangs.
        let apart = trace.spans[*child].kind == Kind::Consumer;
        tell(trace, *child, if apart { 0 } else { within }, style, entries);
    }
    if let Some(text) = rule.and_then(|rule| ending(rule, trace, span, style)) {
        let at = if rule.is_some_and(|rule| rule.ends_apart) { span.end } else { within };
        entries.push(Entry { at, text });
    }
}

fn ending(rule: &Rule, trace: &Trace, span: &Span, style: Style) -> Option<String> {
    let duration = Some(span.duration());
    match (span.error(), rule.failed) {
        (None, _) => rule.ends.map(|line| line.told(trace, span, style, duration)),
        (Some(error), Some((speaker, what))) => {
            let known = known_failure(error);
            let line = Line { mark: Mark::Failed, speaker, text: known.unwrap_or(what) };
            let told = line.told(trace, span, style, duration);
            Some(if known.is_some() { told } else { format!("{told}: {error}") })
        }
        (Some(_), None) => None,
    }
}

impl Line {
    fn told(self, trace: &Trace, span: &Span, style: Style, duration: Option<u64>) -> String {
        let text = filled(self.text, |key| span.attribute(key).or_else(|| trace.attribute(key)));
        let mut told = format!("{} [{}] {text}", self.mark.shown(style), self.speaker);
        if let Some(duration) = duration {
            told.push(' ');
            told.push_str(&style.dim(&format!("({})", took(duration))));
        }
        told
    }
}

/// Replaces each `{key}` of the text.
fn filled<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(lookup(key).unwrap_or("?"));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_completed_order_is_told_like_the_reference_sample() {
        let told = story(&Trace::of(&fixture::completed(), fixture::TRACE), Style::Plain).join("\n");
        assert_eq!(
            told,
            "\
* [API Gateway] Received order request
  ok [User Service] User user123 may order (3.00 ms)
* [Order Service] Processing order...
  ok [Order Service] Order validated (2.00 ms)
* [Database] Saving order...
  ok [Database] Order order-1234 saved (4.00 ms)
* [Inventory Service] Checking stock...
  ok [Inventory Service] Stock available (5.00 ms)
* [Payment Service] Processing payment...
    -> [Payment Gateway] Authorization complete (20.0 ms)
  ok [Payment Service] Payment authorized (30.0 ms)
  ok [Order Service] Order confirmed (2.00 ms)
  ok [Payment Service] Payment successful (10.0 ms)
  ok [Inventory Service] Stock taken (3.00 ms)
* [Notification Service] Notification written for order order-1234 (6.00 ms)
OK [Order Service] Order created: order-1234 (80.0 ms)
OK [API Gateway] Order created: order-1234 (90.0 ms)"
        );
    }

    #[test]
    fn with_emoji_the_lines_carry_the_marks_of_the_reference_sample() {
        let told = story(&Trace::of(&fixture::completed(), fixture::TRACE), Style::Rich).join("\n");
        for mark in
            ["📥 [API Gateway]", "📦 [Order Service]", "  ✓ [Order Service]", "    → [Payment Gateway]"]
        {
            assert!(told.contains(mark), "{mark} is missing in\n{told}");
        }
    }

    #[test]
    fn an_order_without_stock_says_so_where_it_failed_and_what_was_undone() {
        let told = story(&Trace::of(&fixture::out_of_stock(), fixture::TRACE), Style::Plain).join("\n");
        assert_eq!(
            told,
            "\
* [API Gateway] Received order request
* [Order Service] Processing order...
* [Inventory Service] Checking stock...
FAILED [Inventory Service] Out of stock (5.00 ms)
  undone [Payment Service] Authorization given up (3.00 ms)
FAILED [Order Service] Out of stock (20.0 ms)
FAILED [API Gateway] Out of stock (25.0 ms)"
        );
    }

    #[test]
    fn an_unknown_attribute_does_not_stop_the_story() {
        assert_eq!(
            filled("order {order.id}, user {user.id}.", |key| (key == "user.id").then_some("u1")),
            "order ?, user u1."
        );
    }
}
