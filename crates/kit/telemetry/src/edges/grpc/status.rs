//! The status of a call: its name, where it stands, and for whom it is an error.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use tonic::Code;

/// The code as `rpc.response.status_code` has it.
pub(super) use crate::base::error::grpc_code_name as name;
use crate::core::exchange::headers;
use crate::core::span::Outcome;

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The status in the headers or trailers of a response.
pub(super) fn read(headers: &HeaderMap) -> Option<Code> {
    headers::first(headers, &GRPC_STATUS).map(|status| Code::from_bytes(status.as_bytes()))
}

/// The status of an answer that has none, by the HTTP status, as gRPC's own mapping has it:
/// <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>.
pub(super) fn of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The side of a call: an answer of "not found" is the caller's trouble and not the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Server,
    Client,
}

impl Side {
    fn is_error(self, code: Code) -> bool {
        match self {
            Self::Client => code != Code::Ok,
            Self::Server => matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            ),
        }
    }
}

/// What is known of a call's status while it runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallStatus {
    /// Sent by the server, or made of the transport's error.
    pub(super) code: Option<Code>,
    pub(super) http: Option<StatusCode>,
    /// How long the caller was ready to wait.
    pub(super) timeout: Option<Duration>,
}

impl CallStatus {
    /// Reads the caller's `grpc-timeout`.
    pub(super) fn of_request(headers: &HeaderMap) -> Self {
        Self { timeout: timeout(headers), ..Self::default() }
    }

    /// The code and the outcome that the span and the metrics of this side record.
    pub(super) fn conclude(self, side: Side, outcome: Outcome, elapsed: Duration) -> (Code, Outcome) {
        match (outcome, self.code) {
            (Outcome::Panic, _) => (Code::Internal, Outcome::Panic),
            (Outcome::Error(class), code) => (code.unwrap_or(Code::Unknown), Outcome::Error(class)),
            (Outcome::Cancelled, None) if self.timeout.is_some_and(|timeout| elapsed >= timeout) => {
                (Code::DeadlineExceeded, Outcome::Error(Cow::Borrowed(name(Code::DeadlineExceeded))))
            }
            (Outcome::Cancelled, None) => (Code::Cancelled, Outcome::Cancelled),
            (Outcome::Ok | Outcome::Cancelled, code) => {
                let code = code.unwrap_or_else(|| of_http(self.http.unwrap_or(StatusCode::OK)));
                let is_error = side.is_error(code);
                (code, if is_error { Outcome::Error(Cow::Borrowed(name(code))) } else { Outcome::Ok })
            }
        }
    }
}

/// The caller's `grpc-timeout`.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    headers::first(headers, &GRPC_TIMEOUT).and_then(|timeout| parse_timeout(timeout.to_str().ok()?))
}

/// At most eight digits and a unit: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests>.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELAPSED: Duration = Duration::from_millis(5);

    fn error(class: &'static str) -> Outcome {
        Outcome::Error(Cow::Borrowed(class))
    }

    #[test]
    fn a_status_is_an_error_for_the_side_whose_trouble_it_is() {
        let conclude = |side, code| {
            CallStatus { code: Some(code), ..CallStatus::default() }.conclude(side, Outcome::Ok, ELAPSED).1
        };
        for code in (0..17).map(Code::from_i32) {
            let client = if code == Code::Ok { Outcome::Ok } else { error(name(code)) };
            assert_eq!(conclude(Side::Client, code), client);
        }
        let is_server_error = |code: &Code| matches!(conclude(Side::Server, *code), Outcome::Error(_));
        let errors: Vec<&str> = (0..17).map(Code::from_i32).filter(is_server_error).map(name).collect();
        let table = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
        assert_eq!(errors, table);
    }

    #[test]
    fn a_call_that_is_dropped_was_cancelled_unless_its_time_had_run_out() {
        let dropped = |timeout| CallStatus { timeout, ..CallStatus::default() };
        let conclude = |timeout| dropped(timeout).conclude(Side::Client, Outcome::Cancelled, ELAPSED);
        assert_eq!(conclude(None), (Code::Cancelled, Outcome::Cancelled));
        assert_eq!(conclude(Some(ELAPSED * 2)), (Code::Cancelled, Outcome::Cancelled));
        assert_eq!(conclude(Some(ELAPSED)), (Code::DeadlineExceeded, error("DEADLINE_EXCEEDED")));
    }

    #[test]
    fn an_answer_without_a_status_is_told_by_its_http_status() {
        let conclude = |http| {
            CallStatus { http: Some(http), ..CallStatus::default() }
                .conclude(Side::Client, Outcome::Ok, ELAPSED)
                .0
        };
        assert_eq!(conclude(StatusCode::BAD_GATEWAY), Code::Unavailable);
        assert_eq!(conclude(StatusCode::NOT_FOUND), Code::Unimplemented);
        assert_eq!(conclude(StatusCode::OK), Code::Unknown);
    }

    #[test]
    fn timeouts_are_read_in_every_unit() {
        assert_eq!(parse_timeout("2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse_timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse_timeout("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for malformed in ["", "m", "1", "123456789S", "-1S", "1é", "1 S"] {
            assert_eq!(parse_timeout(malformed), None, "{malformed}");
        }
    }
}
