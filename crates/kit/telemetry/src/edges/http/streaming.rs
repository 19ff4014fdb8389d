//! Responses that last: server-sent events, sockets. Their durations would drown those of requests, so they have
//! a histogram of their own.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::head::ResponseHead;
use crate::core::clock::{HandleClock, Timer};
use crate::core::exchange::attributes::{ERROR_TYPE, SERVER_ADDRESS, SERVER_PORT};
use crate::core::exchange::stream::MeasureStream;
pub use crate::core::exchange::stream::StreamSpan;
use crate::core::handle::Telemetry;
use crate::core::readings::durations;
use crate::core::series::{DurationSeries, Labels};

/// Bounds in seconds: from a second to a day.
const STREAM_SECONDS: [f64; 10] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0];

/// What is a stream unless the program says otherwise.
pub(super) fn is_stream(response: &ResponseHead<'_>) -> bool {
    const LASTING: [&str; 2] = ["text/event-stream", "multipart/x-mixed-replace"];
    let kind = response.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    kind.is_some_and(|kind| LASTING.iter().any(|lasting| kind.eq_ignore_ascii_case(lasting)))
}

/// How streams are measured, and when their spans end.
#[derive(Clone)]
pub(super) struct Streaming {
    pub(super) span: StreamSpan,
    series: DurationSeries<StreamLabels>,
    clock: HandleClock,
}

impl Streaming {
    pub(super) fn of_server(telemetry: &Telemetry, span: StreamSpan) -> Self {
        let build = |meter: &Meter| {
            durations(
                meter,
                "waypost.http.server.stream.duration",
                "How long a response that is a stream, or a connection that was upgraded, was open.",
                &STREAM_SECONDS,
            )
        };
        let series = DurationSeries::new(build(telemetry.meter()), telemetry);
        Self { span, series, clock: telemetry.clock().clone() }
    }

    pub(super) fn of_client(telemetry: &Telemetry, span: StreamSpan) -> Self {
        let build = |meter: &Meter| {
            durations(
                meter,
                "waypost.http.client.stream.duration",
                "How long a response that is a stream was open.",
                &STREAM_SECONDS,
            )
        };
        let series = DurationSeries::new(build(telemetry.meter()), telemetry);
        Self { span, series, clock: telemetry.clock().clone() }
    }

    /// For one stream.
    pub(super) fn measure(&self, labels: StreamLabels) -> MeasureStream {
        let series = self.series.clone();
        Box::new(move |error_type, elapsed| {
            series.record(StreamLabels { error_type, ..labels }, elapsed.as_secs_f64());
        })
    }

    /// For a connection that a handler takes over.
    pub(super) fn timer(&self, labels: StreamLabels) -> StreamTimer {
        StreamTimer { series: self.series.clone(), labels: Arc::new(labels), clock: self.clock.clone() }
    }
}

/// The labels of the durations of streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StreamLabels {
    pub(super) method: &'static str,
    pub(super) scheme: Option<&'static str>,
    pub(super) route: Option<Cow<'static, str>>,
    pub(super) address: Option<Arc<str>>,
    pub(super) port: Option<u16>,
    pub(super) template: Option<Cow<'static, str>>,
    pub(super) error_type: Option<Cow<'static, str>>,
}

impl Labels for StreamLabels {
    fn build(&self) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(6);
        labels.push(KeyValue::new("http.request.method", self.method));
        labels.extend(self.scheme.map(|scheme| KeyValue::new("url.scheme", scheme)));
        labels.extend(self.route.clone().map(|route| KeyValue::new("http.route", route)));
        labels.extend(self.address.clone().map(|address| KeyValue::new(SERVER_ADDRESS, address)));
        labels.extend(self.port.map(|port| KeyValue::new(SERVER_PORT, i64::from(port))));
        labels.extend(self.template.clone().map(|template| KeyValue::new("url.template", template)));
        labels.extend(self.error_type.clone().map(|class| KeyValue::new(ERROR_TYPE, class)));
        labels
    }
}

/// Measures a connection that a handler has upgraded, such as a WebSocket: an extension of the request, where
/// [`ServerLayer::stream_spans`](super::ServerLayer::stream_spans) was set. The span of the request ends with the answer
/// 101; what comes after is not the layer's to see.
///
/// ```
/// use axum::{Extension, Router, routing::get};
/// use waypost_telemetry::{Telemetry, http::{StreamSpan, StreamTimer}};
///
/// async fn chat(Extension(timer): Extension<StreamTimer>) {
///     let open = timer.start();
///     // `upgrade.on_upgrade(async move |socket| { talk(socket).await; drop(open) })`
///     # drop(open);
/// }
///
/// # let telemetry = Telemetry::disabled();
/// let layer = telemetry.http_server().stream_spans(StreamSpan::UntilHead);
/// let app: Router = Router::new().route("/chat", get(chat)).layer(layer);
/// ```
#[derive(Clone)]
pub struct StreamTimer {
    series: DurationSeries<StreamLabels>,
    labels: Arc<StreamLabels>,
    clock: HandleClock,
}

impl StreamTimer {
    /// Begins to measure; the stream ends when what is returned is dropped.
    pub fn start(&self) -> MeasuredStream {
        MeasuredStream { measured: self.clone(), timer: self.clock.timer(), error_type: None }
    }
}

impl fmt::Debug for StreamTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTimer").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// An open stream, measured by [`StreamTimer::start`].
#[derive(Debug)]
#[must_use = "dropping it is the end of the stream"]
pub struct MeasuredStream {
    measured: StreamTimer,
    timer: Timer,
    error_type: Option<Cow<'static, str>>,
}

impl MeasuredStream {
    /// Ends a stream that has failed, with its low-cardinality `error.type`.
    pub fn fail(mut self, error_type: impl Into<Cow<'static, str>>) {
        self.error_type = Some(error_type.into());
    }
}

impl Drop for MeasuredStream {
    fn drop(&mut self) {
        let error_type = match self.error_type.take() {
            None if std::thread::panicking() => Some(Cow::Borrowed("panic")),
            said => said,
        };
        let labels = StreamLabels { error_type, ..StreamLabels::clone(&self.measured.labels) };
        self.measured.series.record(labels, self.timer.elapsed().as_secs_f64());
    }
}
