//! Why a request was not taken, and what the receiver wants before it is sent again.

use std::time::Duration;

#[cfg(feature = "otlp-grpc")]
use crate::base::wire::read::fields;

#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) may_retry: bool,
    /// No connection came about: the receiver knows nothing of the request.
    pub(crate) is_unreached: bool,
    /// The receiver's wish.
    pub(crate) wait: Option<Duration>,
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`, in its bytes.
#[cfg(feature = "otlp-grpc")]
pub(super) fn retry_delay(status: &[u8]) -> Option<Duration> {
    const DETAILS: u32 = 3;
    let details = fields(status).filter(|(number, _)| *number == DETAILS);
    details.map(|(_, any)| any.bytes()).find_map(|any| {
        let url = fields(any).find(|(number, _)| *number == 1)?.1.text();
        let (_, info) = fields(any).find(|(number, _)| *number == 2)?;
        let is_retry_info = url.rsplit('/').next() == Some("google.rpc.RetryInfo");
        let (_, delay) = fields(info.bytes()).find(|(number, _)| *number == 1 && is_retry_info)?;
        let part = |wanted| {
            fields(delay.bytes()).find(|(number, _)| *number == wanted).map_or(0, |(_, field)| field.number())
        };
        // A negative delay, which is no delay, is a huge number here.
        let seconds = u64::try_from(part(1).cast_signed()).unwrap_or(0);
        Some(Duration::new(seconds, u32::try_from(part(2)).unwrap_or(0).min(999_999_999)))
    })
}

/// The chain of an error in one line: its own text and that of its deepest cause.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let text = error.to_string();
    match std::iter::successors(error.source(), |cause| (*cause).source()).last() {
        Some(cause) => format!("{text}: {cause}"),
        None => text,
    }
}
