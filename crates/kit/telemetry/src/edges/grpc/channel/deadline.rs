//! When a call has to be over, and that it is.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;

use crate::edges::grpc::status;

static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// When a call has to be over; an extension of its tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    /// As the caller says in its headers, else `default` from now on.
    pub(super) fn of(headers: &HeaderMap, default: Option<Duration>) -> Option<Self> {
        let time = status::timeout(headers).or(default)?;
        Instant::now().checked_add(time).map(Self)
    }

    pub(super) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Tells the server how much time is left.
    pub(super) fn announce(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(written(self.remaining())) {
            headers.insert(GRPC_TIMEOUT.clone(), value);
        }
    }

    /// Waits for an answer until then.
    pub(super) async fn bound<E>(
        self,
        answer: impl Future<Output = Result<Response<Body>, E>>,
    ) -> Result<Response<Body>, E> {
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(self.0) => Ok(exceeded().into_http()),
            answer = answer => Ok(answer?.map(|body| self.over(body))),
        }
    }

    fn over(self, body: Body) -> Body {
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        Body::new(Bounded { body, ends: Box::pin(tokio::time::sleep_until(self.0)), is_over: false })
    }
}

fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call is over")
}

/// At most eight digits and a unit, never less than what is left.
fn written(time: Duration) -> String {
    const MAX: u128 = 99_999_999;
    let [micros, millis] = [time.as_nanos().div_ceil(1_000), time.as_nanos().div_ceil(1_000_000)];
    if micros <= MAX {
        format!("{micros}u")
    } else if millis <= MAX {
        format!("{millis}m")
    } else {
        format!("{}S", u128::from(time.as_secs()).saturating_add(1).min(MAX))
    }
}

pin_project! {
    /// A body that ends in an error when its time is over.
    struct Bounded {
        #[pin]
        body: Body,
        ends: Pin<Box<Sleep>>,
        is_over: bool,
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        // What has come in time is given out all the same.
        let polled = this.body.poll_frame(task);
        if polled.is_pending() && this.ends.as_mut().poll(task).is_ready() {
            *this.is_over = true;
            return Poll::Ready(Some(Err(exceeded())));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_eight_digits_and_never_as_less() {
        for (time, expected) in [
            (Duration::ZERO, "0u"),
            (Duration::from_nanos(1), "1u"),
            (Duration::from_millis(1_500), "1500000u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_micros(100_000_001), "100001m"),
            (Duration::from_hours(48), "172801S"),
        ] {
            assert_eq!(written(time), expected);
        }
    }

    #[test]
    fn the_callers_own_deadline_goes_before_the_default() {
        let headers = |text| HeaderMap::from_iter([(GRPC_TIMEOUT.clone(), HeaderValue::from_static(text))]);
        let left = |headers: &HeaderMap, default| Deadline::of(headers, default).map(Deadline::remaining);
        let (minute, hour) = (Duration::from_mins(1), Duration::from_hours(1));
        assert!(left(&headers("2H"), Some(minute)).is_some_and(|left| left > hour));
        assert!(left(&headers("x"), Some(minute)).is_some_and(|left| left <= minute));
        assert!(left(&HeaderMap::new(), None).is_none());
    }
}
