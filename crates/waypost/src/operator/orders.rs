//! `waypost orders`.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use waypost_api::{Amount, OrderId};
use waypost_order::operator::report::{
    Acted, ActionReport, FactReport, OrderReport, ParkedReport, StuckOrder, StuckOrders,
};
use waypost_service::operator::Asked;

use super::admin::{Admin, Needs};
use super::args::{OrdersAction, OrdersArgs};
use super::text::{ago, moment, wrapped};
use crate::console::say;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::settings::Environment;

const NEEDS: Needs = Needs { roles: "order role", start: "waypost up, or waypost run order ..." };

/// How long a person waits for what becomes of an order that is tried again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// A wish to give money back.
#[derive(Serialize)]
struct RefundBody {
    by: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
}

/// Runs `waypost orders`.
pub(crate) async fn orders(
    args: OrdersArgs,
    admin: Admin,
    environment: &Environment,
) -> Result<Exit, Failure> {
    let json = args.admin.json;
    match args.action {
        OrdersAction::Stuck => {
            let stuck = all_stuck(&admin).await?;
            show(json, &stuck, stuck_text)?;
        }
        OrdersAction::Show { id } => show(json, &report(&admin, &id).await?, order_text)?,
        OrdersAction::Retry { id, asked } => {
            let asked = asked.asked(environment)?;
            let before = report(&admin, &id).await?.parked;
            let acted = act(&admin, &id, "retry", &asked).await?;
            show(json, &acted, acted_text)?;
            if !json {
                return wait(&admin, &id, before.as_ref()).await;
            }
        }
        OrdersAction::Abandon { id, asked } => {
            let acted = act(&admin, &id, "abandon", &asked.asked(environment)?).await?;
            show(json, &acted, acted_text)?;
        }
        OrdersAction::Refund { id, amount, asked } => {
            let Asked { by, reason } = asked.asked(environment)?;
            let acted = act(&admin, &id, "refund", &RefundBody { by, reason, amount }).await?;
            show(json, &acted, acted_text)?;
            return Ok(match acted.action.outcome.as_str() {
                "done" => Exit::Done,
                "rejected" => Exit::Refused,
                _ => Exit::Temporary,
            });
        }
    }
    Ok(Exit::Done)
}

async fn all_stuck(admin: &Admin) -> Result<StuckOrders, Failure> {
    let mut all: StuckOrders = admin.get("/operator/orders/stuck", NEEDS).await?;
    while let Some(after) = all.next.take() {
        let path = format!("/operator/orders/stuck?after={after}");
        let page: StuckOrders = admin.get(&path, NEEDS).await?;
        all.orders.extend(page.orders);
        all.next = page.next;
    }
    Ok(all)
}

async fn report(admin: &Admin, id: &OrderId) -> Result<OrderReport, Failure> {
    admin.get(&format!("/operator/orders/{id}"), NEEDS).await
}

async fn act(admin: &Admin, id: &OrderId, action: &str, body: &impl Serialize) -> Result<Acted, Failure> {
    admin.post(&format!("/operator/orders/{id}/{action}"), body, NEEDS).await
}

/// Says what became of an order that is tried again and was parked like this `before`.
async fn wait(admin: &Admin, id: &OrderId, before: Option<&ParkedReport>) -> Result<Exit, Failure> {
    let end = Instant::now() + RETRY_TIMEOUT;
    loop {
        let order = report(admin, id).await?;
        let is_at_rest = match &order.parked {
            // As before: the try has not begun yet.
            Some(parked) => !parked.being_tried && Some(parked) != before,
            None => order.phase == "ended",
        };
        if is_at_rest || Instant::now() >= end {
            return Ok(match order.parked {
                None => {
                    say(format!("The order is {}.", order.status));
                    Exit::Done
                }
                Some(_) if !is_at_rest => {
                    say("It is still being tried; `waypost orders show` tells how it goes on.");
                    Exit::Temporary
                }
                Some(parked) => {
                    say("It is parked again:");
                    say(parked_text(&parked));
                    Exit::Temporary
                }
            });
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// As JSON, or in words.
pub(super) fn show<T: Serialize>(json: bool, value: &T, words: impl Fn(&T) -> String) -> Result<(), Failure> {
    say(if json {
        serde_json::to_string_pretty(value).or_exit(Exit::Internal, "writing the answer")?
    } else {
        words(value)
    });
    Ok(())
}

fn stuck_text(stuck: &StuckOrders) -> String {
    let StuckOrders { orders, total, .. } = stuck;
    let head = match total {
        0 => return "No order is parked.".to_owned(),
        1 => "1 order is parked.".to_owned(),
        total => format!("{total} orders are parked."),
    };
    let one = |order: &StuckOrder| {
        let StuckOrder { order_id, status, amount, currency, parked } = order;
        format!("\n\n{order_id}  {status}, {amount} {currency}\n{}", parked_text(parked))
    };
    head + &orders.iter().map(one).collect::<String>()
}

fn parked_text(parked: &ParkedReport) -> String {
    let ParkedReport { step, code, detail, since, rounds, being_tried } = parked;
    let now = if *being_tried { ", being tried now" } else { "" };
    let since = format!("{} ({}), {rounds} rounds of tries{now}", moment(*since), ago(*since));
    [
        wrapped("  since   ", &since),
        wrapped("  step    ", step),
        wrapped("  reason  ", &format!("{code}: {detail}")),
    ]
    .join("\n")
}

fn order_text(order: &OrderReport) -> String {
    let failure = order.failure_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let what = format!("{} of {} for {}", order.quantity, order.product_id, order.user_id);
    let mut lines = vec![
        format!("Order {}", order.order_id),
        wrapped("  status  ", &format!("{}{failure}; its saga is at `{}`", order.status, order.phase)),
        wrapped("  what    ", &format!("{what}, {} {}", order.amount, order.currency)),
        wrapped("  since   ", &format!("{} ({})", moment(order.created_at), ago(order.created_at))),
    ];
    lines.extend(order.trace_id.as_ref().map(|trace| format!("  trace   {trace}")));
    lines.push(wrapped("  money   ", &money_text(order)));
    if let Some(parked) = &order.parked {
        lines.push("\nParked".to_owned());
        lines.push(parked_text(parked));
    }
    lines.push("\nHistory".to_owned());
    for moved in &order.history {
        let reason = moved.reason.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        lines.push(wrapped(&format!("  {}  ", moment(moved.at)), &format!("{}{reason}", moved.status)));
    }
    lines.push("\nJournal of its saga".to_owned());
    lines.extend(order.journal.iter().map(fact_text));
    if !order.actions.is_empty() {
        lines.push("\nOperators".to_owned());
        lines.extend(order.actions.iter().map(action_text));
    }
    lines.join("\n")
}

fn money_text(order: &OrderReport) -> String {
    match (&order.payment, &order.payment_problem) {
        (Some(payment), _) => {
            let charge = match payment.transaction_id.as_str() {
                "" => String::new(),
                id => format!(", charge {id}"),
            };
            format!("{}: {} taken, {} given back{charge}", payment.state, payment.captured, payment.refunded)
        }
        (None, Some(problem)) => format!("not known: {problem}"),
        (None, None) => "no payment was begun".to_owned(),
    }
}

fn fact_text(fact: &FactReport) -> String {
    let FactReport { at, fact, step, detail, times, last_at, .. } = fact;
    let step = step.as_ref().map(|step| format!(" {step}")).unwrap_or_default();
    let detail = detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let repeated =
        if *times > 1 { format!(" ({times} times, last {})", moment(*last_at)) } else { String::new() };
    wrapped(&format!("  {}  ", moment(*at)), &format!("{fact}{step}{detail}{repeated}").replace('_', " "))
}

fn action_text(action: &ActionReport) -> String {
    let ActionReport { at, action, outcome, by, reason, refund, amount, notes } = action;
    let refund = refund.map(|number| format!(" {number}")).unwrap_or_default();
    let amount = amount.map(|amount| format!(" of {amount}")).unwrap_or_default();
    let first = format!("  {}  ", moment(*at));
    let head = wrapped(&first, &format!("{action}{refund}{amount}, {outcome}, by {by}: {reason}"));
    let note = |note: &String| format!("\n{}", wrapped(&format!("{}- ", " ".repeat(first.len())), note));
    head + &notes.iter().map(note).collect::<String>()
}

fn acted_text(acted: &Acted) -> String {
    let Acted { order_id, status, phase, action } = acted;
    let head = match (action.action.as_str(), action.outcome.as_str()) {
        ("retry", _) => format!("Order {order_id} is tried again."),
        ("abandon", _) => format!("Order {order_id} is ended as {status}."),
        (_, "done") => {
            let amount = action.amount.map(|amount| amount.to_string()).unwrap_or_default();
            format!("{amount} of order {order_id} was given back.")
        }
        (_, "rejected") => format!("The refund of order {order_id} was refused; nothing was given back."),
        _ => {
            let again = "ask for it again: it keeps its number and is paid once";
            format!("What became of the refund of order {order_id} is not known; {again}.")
        }
    };
    let mut lines = vec![wrapped("", &head)];
    let title = if action.action == "abandon" { "Left open: " } else { "" };
    lines.extend(action.notes.iter().map(|note| wrapped("  - ", &format!("{title}{note}"))));
    if action.action == "refund" && action.outcome == "done" && phase == "stuck" {
        lines.push("The order is still parked; `waypost orders abandon` ends it.".to_owned());
    }
    lines.join("\n")
}
