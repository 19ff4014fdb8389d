//! Bounds on spans, log records and baggage.

use waypost_settings::settings;

settings! {
    /// Bounds on what one span may carry. What is over a bound is cut or dropped and counted on the span.
    ///
    /// ```
    /// use waypost_telemetry::config::Limits;
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let mut settings = TestTelemetry::settings("order-service");
    /// settings.limits = Limits { attribute_value_length: 5, ..Limits::default() };
    /// let telemetry = TestTelemetry::with(settings);
    /// telemetry.span("show").attr("text", "a long one").in_scope(|| ());
    /// telemetry.tree().assert_matches("show INTERNAL order-service text=\"a lon\"");
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct Limits {
        /// Characters of a text value, on spans, events, links and log records. OpenTelemetry's own default is no
        /// limit; this one keeps a stray document from filling the queue.
        pub attribute_value_length: usize = 4_096,
        /// The same for spans, events and links only.
        pub span_attribute_value_length: Option<usize> = None,
        /// The same for log records only.
        pub log_attribute_value_length: Option<usize> = None,
        /// Attributes of a span.
        pub span_attributes: u32 = 128,
        /// Events of a span.
        pub span_events: u32 = 128,
        /// Links of a span.
        pub span_links: u32 = 128,
        /// Attributes of an event.
        pub event_attributes: u32 = 128,
        /// Attributes of a link.
        pub link_attributes: u32 = 128,
        /// Attributes of a log record.
        pub log_attributes: u32 = 128,
    }
}

impl Limits {
    /// Characters of a text value on spans, events and links.
    pub(crate) fn span_value_length(&self) -> usize {
        self.span_attribute_value_length.unwrap_or(self.attribute_value_length)
    }

    /// Characters of a text value on log records.
    pub(crate) fn log_value_length(&self) -> usize {
        self.log_attribute_value_length.unwrap_or(self.attribute_value_length)
    }
}

settings! {
    /// What may enter, leave and become an attribute from baggage.
    ///
    /// ```
    /// use waypost_telemetry::testing::TestTelemetry;
    /// use waypost_telemetry::{baggage, span};
    ///
    /// let mut settings = TestTelemetry::settings("order-service");
    /// settings.baggage.span_attributes = vec!["plan".to_owned()];
    /// let telemetry = TestTelemetry::with(settings);
    /// let _attached = baggage::with(&telemetry.context(), "plan", "gold").attach();
    /// span("show").in_scope(|| ());
    /// telemetry.tree().assert_matches("show INTERNAL order-service plan=gold");
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct BaggageSettings {
        /// Keys set as attributes on every span.
        pub span_attributes: Vec<String> = vec![crate::base::attributes::TENANT_ID.to_owned()],
        /// Keys that may leave the process.
        pub outbound: Vec<String> = vec![crate::base::attributes::TENANT_ID.to_owned()],
        /// Members taken from one inbound header; the rest is ignored. At most 64, the bound of the W3C format.
        pub max_members: usize = 64,
        /// Bytes of one value; longer members are ignored.
        pub max_value_length: usize = 256,
    }
}
