//! The first order: placed through the gateway over HTTP like any other, then told from its spans.

use std::time::Duration;

use anyhow::Context as _;
use http::HeaderValue;
use tokio::time::Instant;
use waypost_gateway::{Auth, Config};
use waypost_user::DEMO_PASSWORD;

use crate::client::{Answer, Client, Target};
use crate::console::Style;
use crate::load::Story;
use crate::roles::{Role, System};
use crate::story::{self, Span, Trace};
use crate::viewer::Viewer;

/// Longer than the gateway lets any request take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long the spans of an answered order are waited for: the notification comes after the answer.
const REST_OF_TRACE: Duration = Duration::from_secs(5);
/// How often the memory exporters are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// What there is to say about the first order.
pub(super) struct Told {
    pub(super) lines: Vec<String>,
    /// `None` when it was not accepted.
    pub(super) order_id: Option<String>,
}

/// Places the order and tells its story, or why there is none. A first order that fails stops nothing: the
/// system is up, and its story says what is wrong.
pub(super) async fn tell(system: &System, viewer: Option<&Viewer>, gateway: &Config, style: Style) -> Told {
    match place(system, gateway).await {
        Ok(answer) => {
            let mut lines = story_of(&answer, system, style).await;
            if let (Some(viewer), Some(trace_id)) = (viewer, answer.text("trace_id")) {
                let link = viewer.link(&format!("/trace/{trace_id}"));
                lines.push(format!("Its trace, to look into: {}", style.bold(&link)));
            }
            Told { lines, order_id: answer.text("order_id") }
        }
        Err(reason) => {
            let lines = vec![format!("The first order could not be placed: {reason:#}")];
            Told { lines, order_id: None }
        }
    }
}

async fn story_of(answer: &Answer, system: &System, style: Style) -> Vec<String> {
    let Some(trace_id) = answer.text("trace_id") else {
        return vec![format!("The first order was answered {} without a trace.", answer.status)];
    };
    // An order that was accepted is told of; one that was refused is nobody's news.
    let is_accepted = answer.status.is_success();
    let (trace, is_whole) = whole_trace(system, &trace_id, is_accepted).await;
    if trace.len() == 0 {
        return vec![format!("The first order was answered {}; its spans were not recorded.", answer.status)];
    }
    let mut lines = vec![style.bold("The first order, told from its spans:"), String::new()];
    lines.extend(story::story(&trace, style));
    lines.push(String::new());
    lines.push(style.bold(&format!(
        "Its trace {trace_id}: {} spans of {} services in {}",
        trace.len(),
        trace.services(),
        story::took(trace.duration())
    )));
    lines.push(String::new());
    lines.extend(story::tree(&trace, style));
    lines.push(String::new());
    if let Some(slowest) = story::slowest(&trace) {
        lines.push(format!("Slowest step: {slowest}."));
    }
    if !is_whole {
        lines.push(format!("Not all of its spans had come within {REST_OF_TRACE:?}."));
    }
    lines
}

async fn place(system: &System, gateway: &Config) -> anyhow::Result<Answer> {
    let target: Target = system.url(Role::Gateway).context("no gateway runs in this process")?.parse()?;
    let mut client = Client::new(&target, PATIENCE);
    let token = match gateway.auth {
        Auth::Demo => None,
        Auth::Required => Some(client.log_in(Story::Success.user(), DEMO_PASSWORD).await?),
    };
    let key = gateway.require_idempotency_key.then(|| format!("first-order-{:x}", fastrand::u64(..)));
    let key = key.map(HeaderValue::try_from).transpose()?;
    Ok(client.post_once("/api/orders", Story::Success.body(), token.as_ref(), key).await?)
}

/// The trace once no parent is missing and it reaches as far as it should, or what there is of it in the end.
async fn whole_trace(system: &System, trace_id: &str, to_notification: bool) -> (Trace, bool) {
    let end = Instant::now() + REST_OF_TRACE;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let finished = system.finished_spans();
        let spans: Vec<Span> = finished.iter().map(Span::from).collect();
        let trace = Trace::of(&spans, trace_id);
        let reaches_its_end = trace.reaches_notification() || !to_notification;
        let is_whole = trace.is_connected() && reaches_its_end && system.open_spans() == 0;
        // The gateway's first call has ended before any answer: no span at all means that none is recorded.
        let is_recorded = trace.len() > 0;
        if is_whole || !is_recorded || Instant::now() >= end {
            return (trace, is_whole);
        }
    }
}
