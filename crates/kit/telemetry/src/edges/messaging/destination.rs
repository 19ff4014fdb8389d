//! What a queue, topic or subject is called on spans and metrics: names have to be few, and those of some brokers are not.

use std::borrow::Cow;
use std::sync::Arc;

/// Where messages go to or come from. A text is a destination of that name.
///
/// ```
/// use waypost_telemetry::messaging::{Destination, send_span};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _attached = telemetry.context().attach();
/// send_span("nats", Destination::templated("orders.17.placed", "orders.{order}.placed")).in_scope(|| ());
/// let span = telemetry.only_span("send orders.{order}.placed");
/// assert_eq!(span.attribute("messaging.destination.name"), Some(&"orders.17.placed".into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// None if it is not to be shown.
    pub(super) name: Option<&'a str>,
    pub(super) template: Option<&'a str>,
    pub(super) is_temporary: bool,
}

impl<'a> Destination<'a> {
    /// One of few, with this name.
    pub fn named(name: &'a str) -> Self {
        Self { name: Some(name), template: None, is_temporary: false }
    }

    /// One of many: spans are named by the template, and metrics have it in the place of the name.
    pub fn templated(name: &'a str, template: &'a str) -> Self {
        Self { name: Some(name), template: Some(template), is_temporary: false }
    }

    /// One that is there for a while and whose name nobody else should know, such as that of a reply.
    pub fn temporary(template: &'a str) -> Self {
        Self { name: None, template: Some(template), is_temporary: true }
    }

    /// What stands in names of spans.
    pub(super) fn shown(self) -> &'a str {
        self.template.or(self.name).unwrap_or_default()
    }
}

impl<'a> From<&'a str> for Destination<'a> {
    fn from(name: &'a str) -> Self {
        Self::named(name)
    }
}

impl<'a> From<&'a String> for Destination<'a> {
    fn from(name: &'a String) -> Self {
        Self::named(name)
    }
}

impl<'a> From<&'a Arc<str>> for Destination<'a> {
    fn from(name: &'a Arc<str>) -> Self {
        Self::named(name)
    }
}

impl<'a> From<&'a Cow<'_, str>> for Destination<'a> {
    fn from(name: &'a Cow<'_, str>) -> Self {
        Self::named(name)
    }
}
