//! Options that servers and clients have alike, written once.

use std::sync::Arc;

use super::getters::Getters;
use super::head::{RequestHead, ResponseHead};
use super::streaming::{self, Streaming};
use crate::base::redact::SensitiveKeys;
use crate::core::exchange::asked::Asked;
use crate::core::exchange::attributes::{Capture, KnownMethods};

/// Says whether a request is traced.
type Filter = Arc<Asked<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>>;

/// Says whether a response is a stream.
type IsStream = Arc<Asked<dyn Fn(&ResponseHead<'_>) -> bool + Send + Sync>>;

/// What a layer was told.
#[derive(Clone, Default)]
pub(super) struct Options {
    filter: Option<Filter>,
    pub(super) getters: Getters,
    pub(super) known_methods: KnownMethods,
    pub(super) sensitive_keys: SensitiveKeys,
    pub(super) request_headers: Capture,
    pub(super) response_headers: Capture,
    /// Where streams are measured by themselves.
    pub(super) streaming: Option<Streaming>,
    is_stream: Option<IsStream>,
}

impl Options {
    pub(super) fn set_filter(
        &mut self,
        is_traced: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) {
        self.filter = Some(Arc::new(Asked::new("the filter of a layer", is_traced)));
    }

    pub(super) fn set_streams(
        &mut self,
        is_stream: impl Fn(&ResponseHead<'_>) -> bool + Send + Sync + 'static,
    ) {
        self.is_stream = Some(Arc::new(Asked::new("`streams` of a layer", is_stream)));
    }

    /// Whether a request is traced.
    pub(super) fn traces(&self, head: &RequestHead<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.ask(true, |is_traced| is_traced(head)))
    }

    /// How a response is measured, if it is a stream and those are measured by themselves.
    pub(super) fn stream(&self, head: &ResponseHead<'_>) -> Option<&Streaming> {
        let streaming = self.streaming.as_ref()?;
        let is_stream = match &self.is_stream {
            Some(asked) => asked.ask(false, |is_stream| is_stream(head)),
            None => streaming::is_stream(head),
        };
        is_stream.then_some(streaming)
    }
}

/// Gives a layer the setters of the options.
macro_rules! setters {
    ($layer:ident) => {
        impl $layer {
            /// Requests for which `is_traced` is false get neither span nor metrics; a server carries their context on, a
            /// client sends none with them. Where it panics the request is traced.
            #[must_use]
            pub fn filter(
                self,
                is_traced: impl Fn(&$crate::edges::http::RequestHead<'_>) -> bool + Send + Sync + 'static,
            ) -> Self {
                self.with(|edge| edge.options.set_filter(is_traced))
            }

            /// Names spans, in place of the method and the route or template; `None` leaves the usual name. From few
            /// texts, never from input. Where it panics the usual name stays.
            #[must_use]
            pub fn span_name(
                self,
                name: impl Fn(&$crate::edges::http::RequestHead<'_>) -> Option<std::borrow::Cow<'static, str>>
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.with(|edge| edge.options.getters.set_name(name))
            }

            /// Further attributes of a span, set at its start, where samplers see them. They replace those of the same
            /// name. Not asked where the span is not recorded.
            #[must_use]
            pub fn span_attributes(
                self,
                attributes: impl Fn(&$crate::edges::http::RequestHead<'_>) -> Vec<opentelemetry::KeyValue>
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.with(|edge| edge.options.getters.set_span(attributes))
            }

            /// Further attributes of a span, set when the head of the response is there.
            #[must_use]
            pub fn response_attributes(
                self,
                attributes: impl Fn(&$crate::edges::http::ResponseHead<'_>) -> Vec<opentelemetry::KeyValue>
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.with(|edge| edge.options.getters.set_response(attributes))
            }

            /// Further labels of the duration and of the body sizes: at most 16, with values that are few; those of the
            /// conventions stay as they are. The spans do not get them.
            #[must_use]
            pub fn metric_attributes(
                self,
                labels: impl Fn(&$crate::edges::http::RequestHead<'_>) -> Vec<opentelemetry::KeyValue>
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.with(|edge| edge.options.getters.set_metric(labels))
            }

            /// Which responses are errors, in place of the rule of the conventions (5xx on a server, 4xx and 5xx on a
            /// client): those for which there is an `error.type`, which is one of few words. A request without a
            /// response and a body that fails are errors whatever it says.
            ///
            /// ```
            /// # let telemetry = waypost_telemetry::Telemetry::disabled();
            /// let missing_is_fine = telemetry.http_client().error_classifier(|response| match response.status.as_u16() {
            ///     404 => None,
            ///     status @ 400.. => Some(status.to_string().into()),
            ///     _ => None,
            /// });
            /// # drop(missing_is_fine);
            /// ```
            #[must_use]
            pub fn error_classifier(
                self,
                classify: impl Fn(
                    &$crate::edges::http::ResponseHead<'_>,
                ) -> Option<std::borrow::Cow<'static, str>>
                + Send
                + Sync
                + 'static,
            ) -> Self {
                self.with(|edge| edge.options.getters.set_error(classify))
            }

            /// Measures the sizes of bodies: `http.request.body.size` and `http.response.body.size` on spans, and a
            /// histogram of each. Off by default. In the bytes that pass the layer, so what is compressed outside of it
            /// counts as it was before.
            #[must_use]
            pub fn body_sizes(self, are_measured: bool) -> Self {
                self.with(|edge| edge.measure_sizes(are_measured))
            }

            /// Measures streams by themselves: `waypost.http.server.stream.duration` or
            /// `waypost.http.client.stream.duration` is how long each was open, and the duration of its request is that
            /// up to the head, so that percentiles are those of requests. The spans of streams end as `span` says, and a
            /// reader that leaves is no error. Streams are what [`streams`](Self::streams) says. Off by default.
            #[must_use]
            pub fn stream_spans(self, span: $crate::edges::http::StreamSpan) -> Self {
                self.with(|edge| edge.measure_streams(span))
            }

            /// Which responses are streams: `text/event-stream` and `multipart/x-mixed-replace` unless said. Without
            /// effect unless [`stream_spans`](Self::stream_spans) is set.
            #[must_use]
            pub fn streams(
                self,
                is_stream: impl Fn(&$crate::edges::http::ResponseHead<'_>) -> bool + Send + Sync + 'static,
            ) -> Self {
                self.with(|edge| edge.options.set_streams(is_stream))
            }

            /// The methods recorded by name, in place of those of RFC 9110, RFC 5789 and QUERY.
            #[must_use]
            pub fn known_methods(self, methods: impl IntoIterator<Item = &'static str>) -> Self {
                let methods = $crate::core::exchange::attributes::KnownMethods::new(methods);
                self.with(|edge| edge.options.known_methods = methods)
            }

            /// Query keys whose values are replaced in `url.query` and `url.full`, in place of the default list.
            #[must_use]
            pub fn sensitive_query_keys(self, keys: $crate::base::redact::SensitiveKeys) -> Self {
                self.with(|edge| edge.options.sensitive_keys = keys)
            }

            /// Request headers recorded as `http.request.header.<name>`. Credentials are refused.
            #[must_use]
            pub fn capture_request_headers(self, names: impl IntoIterator<Item = http::HeaderName>) -> Self {
                let capture = $crate::core::exchange::attributes::Capture::new("http.request.header.", names);
                self.with(|edge| edge.options.request_headers = capture)
            }

            /// Response headers recorded as `http.response.header.<name>`. Credentials are refused.
            #[must_use]
            pub fn capture_response_headers(self, names: impl IntoIterator<Item = http::HeaderName>) -> Self {
                let capture =
                    $crate::core::exchange::attributes::Capture::new("http.response.header.", names);
                self.with(|edge| edge.options.response_headers = capture)
            }
        }
    };
}
pub(super) use setters;
