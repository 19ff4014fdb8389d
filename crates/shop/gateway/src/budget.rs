//! How long a request may take.
//!
//! The edge sets the deadline, once; every hop behind it gets what is left. A client may say how long it is willing
//! to wait, within the configured bound.

use crate::{edge::Edge, problem::Refusal};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use std::{future::Future, time::Duration};
use tokio::time::Instant;
use waypost_api::{Error, ErrorCode};
use waypost_resilience::deadline;

/// Seconds, possibly with a fraction.
const SECONDS_HEADER: &str = "request-timeout";
/// Milliseconds.
const MILLISECONDS_HEADER: &str = "x-waypost-timeout-ms";

/// Less is not enough for any answer but that time ran out.
pub(crate) const SHORTEST: Duration = Duration::from_millis(100);

/// The time that a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget(Duration);

impl Budget {
    /// Runs the part of a request that goes to other services; ends it with `deadline_exceeded`.
    pub(crate) async fn spend<T, E>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, Refusal>
    where
        Refusal: From<E>,
    {
        let end = Instant::now() + self.0;
        match deadline::within(end, work).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(ErrorCode::DeadlineExceeded.into()),
        }
    }

    fn of(headers: &HeaderMap, default: Duration, max: Duration) -> Result<Budget, Error> {
        let asked = match (headers.get(SECONDS_HEADER), headers.get(MILLISECONDS_HEADER)) {
            (None, None) => return Ok(Budget(default)),
            (Some(seconds), _) => {
                let seconds = seconds.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok());
                // Not finite, or more than a Duration holds: the first is nonsense, the second is only long.
                let seconds = seconds.filter(|seconds| seconds.is_finite());
                let bounded = seconds.map(|seconds| seconds.min(max.as_secs_f64()));
                bounded.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            }
            (None, Some(milliseconds)) => {
                let milliseconds =
                    milliseconds.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
                milliseconds.map(Duration::from_millis)
            }
        };
        let asked = asked.filter(|asked| *asked >= SHORTEST).ok_or_else(|| {
            let detail = format!(
                "{SECONDS_HEADER} takes seconds and {MILLISECONDS_HEADER} milliseconds, at least {} ms",
                SHORTEST.as_millis()
            );
            Error::new(ErrorCode::InvalidRequest, detail)
        })?;
        Ok(Budget(asked.min(max)))
    }
}

impl FromRequestParts<Edge> for Budget {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, edge: &Edge) -> Result<Budget, Refusal> {
        Ok(Budget::of(&parts.headers, edge.budget, edge.max_budget)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(name: &'static str, value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        let budget = Budget::of(&headers, Duration::from_secs(5), Duration::from_secs(10));
        budget.ok().map(|budget| budget.0)
    }

    #[test]
    fn a_client_may_say_how_long_it_waits() {
        assert_eq!(budget("request-timeout", "1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(budget("x-waypost-timeout-ms", "250"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn no_client_gets_more_than_the_longest_budget() {
        assert_eq!(budget("request-timeout", "3600"), Some(Duration::from_secs(10)));
        assert_eq!(budget("request-timeout", "1e300"), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_budget_without_sense_is_refused() {
        for value in ["0", "0.099", "-1", "NaN", "inf", "soon", ""] {
            assert_eq!(budget("request-timeout", value), None, "{value}");
        }
        assert_eq!(budget("x-waypost-timeout-ms", "1.5"), None);
    }
}
