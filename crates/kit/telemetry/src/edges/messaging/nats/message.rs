//! One message: its open span, and what stands on the spans of it.

use std::sync::Arc;

use async_nats::header::{HeaderMap, NATS_MESSAGE_ID};

use super::super::MessageSpan;
use super::super::client::{Client, Operation, made};
use super::super::destinations::Named;
use super::headers::{extracted, injected};

/// The open span of a message, and the headers it goes with.
pub(super) fn opened(
    client: &Arc<Client>,
    operation: &'static str,
    subject: &str,
    headers: Option<HeaderMap>,
) -> (Operation, Option<HeaderMap>) {
    let telemetry = client.telemetry();
    let made = headers.as_ref().and_then(|headers| made(&extracted(telemetry, Some(headers))));
    let is_made = made.is_some();
    let identified = |span: MessageSpan| of_id(span, headers.as_ref());
    let operation = Operation::send(client, operation, Named::of(subject, None), made, identified);
    let headers = match operation.context() {
        Some(context) if !is_made => injected(telemetry, context, headers),
        _ => headers,
    };
    (operation, headers)
}

/// With the id that a publisher gave the message.
pub(super) fn of_id(span: MessageSpan, headers: Option<&HeaderMap>) -> MessageSpan {
    match headers.and_then(|headers| headers.get(NATS_MESSAGE_ID)) {
        Some(id) => span.message_id(id.as_str()),
        None => span,
    }
}
