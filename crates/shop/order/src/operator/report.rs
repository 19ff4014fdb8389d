//! What operators are shown, as it stands in JSON on the admin listener.

use super::rules::{Money, Parking};
use crate::{
    domain::{Fact, Move, Order},
    store::operator::{Action, JournalRow, Record},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use waypost_api::{Amount, OrderId, Timestamp};
use waypost_durable::saga::Entry;

/// The name of [`Entry::Resumed`] in a report.
const RESUMED: &str = "resumed";

/// One page of the orders that are parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckOrders {
    /// By their ids, which rise with their age.
    pub orders: Vec<StuckOrder>,
    /// How many are parked in all.
    pub total: u64,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<OrderId>,
}

/// An order that is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StuckOrder {
    /// Its id.
    pub order_id: OrderId,
    /// What its owner sees.
    pub status: String,
    /// Its price.
    pub amount: Amount,
    /// ISO 4217.
    pub currency: String,
    /// Why it is parked.
    pub parked: ParkedReport,
}

/// Why an order is parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedReport {
    /// The step that cannot be taken back or made up for.
    pub step: String,
    /// Why, as an error code.
    pub code: String,
    /// Why, in words.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
    /// Rounds of tries since then.
    pub rounds: u32,
    /// True while it is being tried again.
    pub being_tried: bool,
}

/// Everything about one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReport {
    /// Its id.
    pub order_id: OrderId,
    /// What its owner sees.
    pub status: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<String>,
    /// Where its saga stands.
    pub phase: String,
    /// Whose.
    pub user_id: String,
    /// What.
    pub product_id: String,
    /// How many.
    pub quantity: u32,
    /// Its price.
    pub amount: Amount,
    /// ISO 4217.
    pub currency: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// Its trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Set while it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<ParkedReport>,
    /// What the payment service says; absent when it knows nothing or could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentReport>,
    /// Why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_problem: Option<String>,
    /// Every state that it was in.
    pub history: Vec<MoveReport>,
    /// What its saga wrote down.
    pub journal: Vec<FactReport>,
    /// What operators did.
    pub actions: Vec<ActionReport>,
}

/// The money of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentReport {
    /// Its state.
    pub state: String,
    /// Taken.
    pub captured: Amount,
    /// Given back.
    pub refunded: Amount,
    /// The provider's id of the charge; empty when there is none.
    pub transaction_id: String,
}

/// One move of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveReport {
    /// The version after it.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// To which state.
    pub status: String,
    /// Why, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One fact of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactReport {
    /// The row that holds it.
    pub row: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What: `intended`, `done`, `refused`, ...
    pub fact: String,
    /// Of which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What it brought, or why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How often in a row, with nothing but new tries between; shown once.
    pub times: u32,
    /// When it was written the last time.
    pub last_at: Timestamp,
}

/// One action of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionReport {
    /// When.
    pub at: Timestamp,
    /// What: `retry`, `abandon`, `refund`.
    pub action: String,
    /// How far: `asked`, `done`, `rejected`, `unknown`.
    pub outcome: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The number of a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<u32>,
    /// The amount of a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// What was found or left open.
    pub notes: Vec<String>,
}

/// What became of a wish: the action, and the order after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// The order.
    pub order_id: OrderId,
    /// Where it stands now.
    pub status: String,
    /// Where its saga stands now.
    pub phase: String,
    /// What was done.
    pub action: ActionReport,
}

impl StuckOrder {
    pub(super) fn new(order: &Order, parking: &Parking) -> StuckOrder {
        StuckOrder {
            order_id: order.id.clone(),
            status: order.status.as_str().to_owned(),
            amount: order.amount.amount(),
            currency: order.amount.currency().to_string(),
            parked: parking.into(),
        }
    }
}

impl From<&Parking> for ParkedReport {
    fn from(parking: &Parking) -> ParkedReport {
        ParkedReport {
            step: parking.step.clone(),
            code: parking.refusal.code.as_str().to_owned(),
            detail: parking.refusal.detail.clone(),
            since: parking.since,
            rounds: parking.rounds,
            being_tried: parking.is_being_tried,
        }
    }
}

impl OrderReport {
    pub(super) fn new(record: Record, parking: Option<&Parking>, money: Money) -> OrderReport {
        let Record { order, phase, journal, history, actions, epoch: _ } = record;
        let (payment, payment_problem) = match money {
            Ok(payment) => (payment, None),
            Err(problem) => (None, Some(problem)),
        };
        let amount = Amount::from_ten_thousandths;
        OrderReport {
            status: order.status.as_str().to_owned(),
            failure_code: order.failure_code.map(|code| code.as_str().to_owned()),
            phase,
            user_id: order.user.to_string(),
            product_id: order.product.to_string(),
            quantity: order.quantity,
            amount: order.amount.amount(),
            currency: order.amount.currency().to_string(),
            created_at: order.created_at,
            updated_at: order.updated_at,
            trace_id: order.origin.trace_id,
            order_id: order.id,
            parked: parking.map(ParkedReport::from),
            payment: payment.map(|payment| PaymentReport {
                state: payment.state,
                captured: amount(payment.captured),
                refunded: amount(payment.refunded),
                transaction_id: payment.transaction,
            }),
            payment_problem,
            history: history.iter().map(MoveReport::from).collect(),
            journal: facts(&journal),
            actions: actions.iter().map(ActionReport::from).collect(),
        }
    }
}

impl From<&Move> for MoveReport {
    fn from(moved: &Move) -> MoveReport {
        MoveReport {
            version: moved.version,
            at: moved.at,
            status: moved.to.as_str().to_owned(),
            reason: moved.reason.map(|code| code.as_str().to_owned()),
        }
    }
}

impl From<&Action> for ActionReport {
    fn from(action: &Action) -> ActionReport {
        ActionReport {
            at: action.at,
            action: action.kind.as_str().to_owned(),
            outcome: action.outcome.as_str().to_owned(),
            by: action.asked.by.clone(),
            reason: action.asked.reason.clone(),
            refund: action.refund.map(|refund| refund.number),
            amount: action.refund.map(|refund| Amount::from_ten_thousandths(refund.amount)),
            notes: action.notes.clone(),
        }
    }
}

/// The facts of a journal. A saga that is parked again and again for the same reason is shown once, with a count: it
/// may have been tried for days.
fn facts(journal: &[JournalRow]) -> Vec<FactReport> {
    let mut reports: Vec<FactReport> = Vec::new();
    for row in journal {
        for fact in &row.facts {
            let (name, step, detail) = words(fact);
            if matches!(fact, Entry::Stuck(..)) {
                let is_same = |report: &FactReport| {
                    report.fact == name && report.step == step && report.detail == detail
                };
                let before = reports.iter().rposition(|report| report.fact != RESUMED);
                let repeated = before.filter(|place| reports.get(*place).is_some_and(is_same));
                if let Some(report) = repeated.and_then(|place| {
                    reports.truncate(place + 1);
                    reports.get_mut(place)
                }) {
                    report.times += 1;
                    report.last_at = row.at;
                    continue;
                }
            }
            let report =
                FactReport { row: row.row, at: row.at, fact: name, step, detail, times: 1, last_at: row.at };
            reports.push(report);
        }
    }
    reports
}

/// A fact in words, from the form in which it is stored: whatever kinds there come to be, each is shown.
fn words(fact: &Fact) -> (String, Option<String>, Option<String>) {
    match serde_json::to_value(fact) {
        Ok(Value::String(fact)) => (fact, None, None),
        Ok(Value::Object(members)) => match members.into_iter().next() {
            Some((fact, Value::Array(parts))) => {
                let mut parts = parts.iter().map(text);
                let step = parts.next();
                let detail = parts.find(|detail| !detail.is_empty());
                (fact, step, detail)
            }
            Some((fact, step)) => (fact, Some(text(&step)), None),
            None => Default::default(),
        },
        _ => Default::default(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Object(members) => {
            let member = |name: &str| members.get(name).map(text);
            match (member("code"), member("detail"), member("decline_code")) {
                (Some(code), Some(detail), None) => format!("{code}: {detail}"),
                (Some(code), Some(detail), Some(decline)) => format!("{code}: {detail} ({decline})"),
                _ => {
                    let pairs = members.iter().map(|(name, value)| format!("{name} {}", text(value)));
                    pairs.collect::<Vec<_>>().join(", ")
                }
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Output, Refusal};
    use waypost_api::{ErrorCode, TransactionId};

    #[test]
    fn rounds_of_a_parked_saga_are_shown_once() {
        let refusal =
            Refusal { code: ErrorCode::PaymentConflict, detail: "no".to_owned(), decline_code: None };
        let at = |row: u64| Timestamp::from_unix_millis(row.cast_signed()).unwrap();
        let row = |(row, fact): (u64, Fact)| JournalRow { row, facts: vec![fact], at: at(row) };
        let stuck = || Entry::Stuck("authorize".into(), refusal.clone());
        let facts_of =
            [Entry::Intended("authorize".into()), stuck(), Entry::Resumed, stuck(), Entry::Resumed];
        let journal: Vec<JournalRow> = (1..).zip(facts_of).map(row).collect();
        let shown: Vec<(String, u32, u64)> =
            facts(&journal).into_iter().map(|fact| (fact.fact, fact.times, fact.row)).collect();
        let expected = [("intended", 1, 1), ("stuck", 2, 2), (RESUMED, 1, 5)];
        assert_eq!(shown, expected.map(|(fact, times, row)| (fact.to_owned(), times, row)));
    }

    #[test]
    fn facts_are_shown_in_words() {
        let transaction = TransactionId::parse("ch_1").unwrap();
        let refusal = Refusal {
            code: ErrorCode::PaymentConflict,
            detail: "it was taken".to_owned(),
            decline_code: None,
        };
        let shown = |fact: &Fact| words(fact);
        let owned = |fact: &str, step: &str, detail: Option<&str>| {
            (fact.to_owned(), Some(step.to_owned()), detail.map(str::to_owned))
        };
        assert_eq!(shown(&Entry::Intended("reserve".into())), owned("intended", "reserve", None));
        assert_eq!(
            shown(&Entry::Done("authorize".into(), Some(Output::Authorized { transaction }))),
            owned("done", "authorize", Some("authorized transaction ch_1"))
        );
        assert_eq!(shown(&Entry::Done("confirm".into(), None)), owned("done", "confirm", None));
        assert_eq!(
            shown(&Entry::Stuck("authorize".into(), refusal)),
            owned("stuck", "authorize", Some("payment_conflict: it was taken"))
        );
        assert_eq!(shown(&Entry::CancelRequested), ("cancel_requested".to_owned(), None, None));
    }
}
