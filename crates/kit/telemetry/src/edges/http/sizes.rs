//! Sizes of bodies, in the bytes that pass the layer.
//!
//! A request's is announced by its `Content-Length` or known beforehand; of other bodies axum's are counted as they are
//! read, the rest has no size. A response's is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Request, header};
use http_body::Body;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use crate::core::handle::Telemetry;
use crate::core::series::{HistogramSeries, Labels};
use crate::core::span::SpanGuard;

/// The two histograms of one side.
#[derive(Clone)]
pub(super) struct BodySizes<L> {
    request: HistogramSeries<L, u64>,
    response: HistogramSeries<L, u64>,
}

impl<L: Labels> BodySizes<L> {
    pub(super) fn new(telemetry: &Telemetry, [request, response]: [Histogram<u64>; 2]) -> Self {
        Self {
            request: HistogramSeries::new(request, telemetry),
            response: HistogramSeries::new(response, telemetry),
        }
    }

    /// Records what is known.
    pub(super) fn record(&self, labels: &L, further: &[KeyValue], request: Option<u64>, response: Option<u64>)
    where
        L: Clone,
    {
        for (series, size) in [(&self.request, request), (&self.response, response)] {
            let Some(size) = size else { continue };
            if further.is_empty() {
                series.record(labels.clone(), size);
            } else {
                series.record_with(labels, further.to_vec(), size);
            }
        }
    }
}

pub(super) fn histogram(meter: &Meter, name: &'static str, description: &'static str) -> Histogram<u64> {
    meter
        .u64_histogram(name)
        .with_unit("By")
        .with_description(description)
        .with_boundaries(BOUNDS.to_vec())
        .build()
}

/// From a few hundred bytes to a gigabyte; the conventions name none.
const BOUNDS: [f64; 12] = [
    0.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    134_217_728.0,
    1_073_741_824.0,
];

/// The bodies of one exchange.
#[derive(Debug)]
pub(super) struct Sizes {
    request: RequestSize,
    response: u64,
    /// Whether the response goes on after its span.
    is_cut: bool,
}

#[derive(Debug)]
enum RequestSize {
    Unknown,
    Known(u64),
    Counted(Arc<AtomicU64>),
}

impl Sizes {
    /// Watches the body of a request.
    pub(super) fn of<B: Body + 'static>(request: &mut Request<B>) -> Self {
        let known = content_length(request.headers()).or_else(|| request.body().size_hint().exact());
        let size = match known {
            Some(size) => RequestSize::Known(size),
            None => count(request.body_mut()),
        };
        Self { request: size, response: 0, is_cut: false }
    }

    pub(super) fn passed(&mut self, bytes: u64) {
        self.response = self.response.saturating_add(bytes);
    }

    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    fn request(&self) -> Option<u64> {
        match &self.request {
            RequestSize::Unknown => None,
            RequestSize::Known(size) => Some(*size),
            RequestSize::Counted(size) => Some(size.load(Ordering::Relaxed)),
        }
    }

    /// Sets the sizes on the span and returns them: of the request, of the response. There is none of a response that
    /// never came.
    pub(super) fn show(&self, span: &SpanGuard, is_answered: bool) -> (Option<u64>, Option<u64>) {
        let attribute = |key, size: Option<u64>| {
            let size = size.and_then(|size| i64::try_from(size).ok());
            size.map(|size| KeyValue::new(key, size))
        };
        let response = (is_answered && !self.is_cut).then_some(self.response);
        let of_request = attribute("http.request.body.size", self.request());
        span.set_each(of_request.into_iter().chain(attribute("http.response.body.size", response)));
        (self.request(), response)
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(feature = "axum")]
fn count<B: 'static>(body: &mut B) -> RequestSize {
    let any: &mut dyn std::any::Any = body;
    let Some(body) = any.downcast_mut::<axum::body::Body>() else { return RequestSize::Unknown };
    let bytes = Arc::<AtomicU64>::default();
    let counted = counted::Counted { body: std::mem::take(body), bytes: Arc::clone(&bytes) };
    *body = axum::body::Body::new(counted);
    RequestSize::Counted(bytes)
}

#[cfg(not(feature = "axum"))]
fn count<B: 'static>(_: &mut B) -> RequestSize {
    RequestSize::Unknown
}

#[cfg(feature = "axum")]
mod counted {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::{Body, Frame, SizeHint};
    use pin_project_lite::pin_project;

    pin_project! {
        pub(super) struct Counted<B> {
            #[pin]
            pub(super) body: B,
            pub(super) bytes: Arc<AtomicU64>,
        }
    }

    impl<B: Body<Data = Bytes>> Body for Counted<B> {
        type Data = Bytes;
        type Error = B::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            task: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
            let this = self.project();
            let frame = this.body.poll_frame(task);
            if let Poll::Ready(Some(Ok(frame))) = &frame
                && let Some(data) = frame.data_ref()
            {
                this.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            }
            frame
        }

        fn is_end_stream(&self) -> bool {
            self.body.is_end_stream()
        }

        fn size_hint(&self) -> SizeHint {
            self.body.size_hint()
        }
    }
}
