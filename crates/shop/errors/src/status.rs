//! [`Error`] as a [`tonic::Status`] and back.
//!
//! The status carries the gRPC code and the detail as its message, and in its metadata the code's name, the bad
//! fields as JSON, how long to wait and the provider's code. Invariants: what one of our services sent comes back
//! equal; what anything else sent is told as a failure of the way there, with the table's text and none of the
//! peer's, and never as a decision: a proxy's 403 forbids no order. Metadata is never trusted: what is too long, of the wrong type or contradicts the gRPC code is ignored.

use std::time::Duration;

use tonic::{
    Code, Status,
    metadata::{MetadataMap, MetadataValue},
};

use crate::{
    Error, ErrorCode, FieldError,
    error::{cut, is_provider_code},
};

/// Metadata key of the code's name.
pub const CODE_METADATA: &str = "waypost-error";
/// Metadata key of the bad fields, as JSON in binary metadata.
pub const FIELDS_METADATA: &str = "waypost-error-fields-bin";
/// Metadata key of the payment provider's own code.
pub const PROVIDER_CODE_METADATA: &str = "waypost-provider-code";
/// Metadata key of how long to wait before the next try, in milliseconds; gRPC's own (gRFC A6). Below zero it
/// means: do not try again.
pub const RETRY_PUSHBACK_METADATA: &str = "grpc-retry-pushback-ms";

/// A peer refuses more than 16 KiB of headers, so what is longer than this once encoded is not sent.
const MAX_FIELDS_BYTES: usize = 6 * 1024;
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        Status::from(&error)
    }
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Status {
        let detail = cut(error.detail.clone(), Error::MAX_DETAIL);
        let mut status = Status::new(error.code.grpc_code(), detail);
        let metadata = status.metadata_mut();
        metadata.insert(CODE_METADATA, MetadataValue::from_static(error.code.as_str()));
        if let Some(fields) = encode_fields(&error.fields) {
            metadata.insert_bin(FIELDS_METADATA, MetadataValue::from_bytes(&fields));
        }
        if let Some(wait) = error.retry_after {
            let millis = u64::try_from(wait.min(MAX_RETRY_AFTER).as_millis()).unwrap_or(u64::MAX);
            metadata.insert(RETRY_PUSHBACK_METADATA, MetadataValue::from(millis));
        }
        let provider_code = error.provider_code.as_deref().filter(|code| is_provider_code(code));
        if let Some(value) = provider_code.and_then(|code| code.parse().ok()) {
            metadata.insert(PROVIDER_CODE_METADATA, value);
        }
        status
    }
}

impl Error {
    /// The code that one of our services gave, if it was one of them that answered: not tonic, nor something between.
    pub fn named_code(status: &Status) -> Option<ErrorCode> {
        let name = status.metadata().get(CODE_METADATA)?.to_str().ok()?;
        name.parse::<ErrorCode>().ok().filter(|code| code.grpc_code() == status.code())
    }

    /// Reads what a service answered.
    pub fn from_status(status: &Status) -> Self {
        let metadata = status.metadata();
        let named = Self::named_code(status);
        let mut error = match named {
            Some(code) => Self::new(code, status.message()),
            None => Self::of(nearest(status.code())),
        };
        error.retry_after = retry_after(metadata);
        if named.is_some() {
            error.fields = decode_fields(metadata);
            error.provider_code = metadata
                .get(PROVIDER_CODE_METADATA)
                .and_then(|value| value.to_str().ok())
                .filter(|code| is_provider_code(code))
                .map(str::to_owned);
        }
        error
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

/// The code for a status that is not one of our own: a transport's, a proxy's, or tonic's.
fn nearest(code: Code) -> ErrorCode {
    match code {
        Code::ResourceExhausted => ErrorCode::Overloaded,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::Cancelled => ErrorCode::Cancelled,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => ErrorCode::Internal,
        // Whoever says no here was not asked for a decision, and the request may have had its effect.
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::Unavailable => ErrorCode::Unavailable,
    }
}

fn retry_after(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get(RETRY_PUSHBACK_METADATA)?.to_str().ok()?;
    let wait = Duration::from_millis(text.parse().ok()?);
    Some(wait.min(MAX_RETRY_AFTER))
}

/// As many of the fields as fit.
fn encode_fields(fields: &[FieldError]) -> Option<Vec<u8>> {
    let mut fields = &fields[..fields.len().min(Error::MAX_FIELDS)];
    while !fields.is_empty() {
        let json = serde_json::to_vec(fields).ok()?;
        if json.len() <= MAX_FIELDS_BYTES {
            return Some(json);
        }
        fields = &fields[..fields.len() / 2];
    }
    None
}

fn decode_fields(metadata: &MetadataMap) -> Vec<FieldError> {
    let decoded = metadata
        .get_bin(FIELDS_METADATA)
        .and_then(|value| value.to_bytes().ok())
        .filter(|json| json.len() <= MAX_FIELDS_BYTES)
        .and_then(|json| serde_json::from_slice::<Vec<FieldError>>(&json).ok())
        .unwrap_or_default();
    decoded
        .into_iter()
        .take(Error::MAX_FIELDS)
        .map(|field| FieldError::new(field.pointer, field.code, field.detail))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FieldCode;

    fn any_error() -> impl Strategy<Value = Error> {
        let field = ("(/[a-z~/é]{0,12}){0,3}", ".{0,40}")
            .prop_map(|(pointer, detail)| FieldError::new(pointer, FieldCode::TooLarge, detail));
        (
            prop::sample::select(ErrorCode::ALL),
            ".{0,200}",
            prop::collection::vec(field, 0..8),
            prop::option::of(0_u64..86_400_000),
            prop::option::of("[A-Za-z0-9_.-]{1,64}"),
        )
            .prop_map(|(code, detail, fields, millis, provider_code)| Error {
                fields,
                retry_after: millis.map(Duration::from_millis),
                provider_code,
                ..Error::new(code, detail)
            })
    }

    proptest! {
        #[test]
        fn an_error_comes_back_equal(error in any_error()) {
            // Through headers, as over the wire.
            let response = Status::from(&error).into_http::<()>();
            let status = Status::from_header_map(response.headers()).unwrap();
            prop_assert_eq!(Error::from_status(&status), error);
        }

        #[test]
        fn hostile_metadata_is_tolerated(
            code in ".{0,40}",
            fields in prop::collection::vec(any::<u8>(), 0..200),
            pushback in "[ -~]{0,30}",
            grpc in 0_i32..20,
        ) {
            let mut status = Status::new(Code::from_i32(grpc), "their text");
            let metadata = status.metadata_mut();
            if let Ok(value) = code.parse() {
                metadata.insert(CODE_METADATA, value);
            }
            if let Ok(value) = pushback.parse() {
                metadata.insert(RETRY_PUSHBACK_METADATA, value);
            }
            metadata.insert_bin(FIELDS_METADATA, MetadataValue::from_bytes(&fields));
            let error = Error::from_status(&status);
            prop_assert_eq!(error.detail, error.code.title());
            prop_assert!(error.fields.is_empty());
        }
    }

    #[test]
    fn the_text_of_a_peer_that_is_not_ours_does_not_pass() {
        let status = Status::unavailable("tcp connect error: 10.0.0.7:9091");
        assert_eq!(Error::from_status(&status), Error::of(ErrorCode::Unavailable));
    }

    #[test]
    fn a_no_of_something_between_is_no_decision() {
        for code in [Code::PermissionDenied, Code::Unauthenticated, Code::NotFound, Code::Unimplemented] {
            assert_eq!(Error::from_status(&Status::new(code, "nginx")), Error::of(ErrorCode::Unavailable));
        }
    }

    #[test]
    fn a_name_that_contradicts_the_grpc_code_is_ignored() {
        let mut status = Status::internal("broken");
        status.metadata_mut().insert(CODE_METADATA, MetadataValue::from_static("out_of_stock"));
        assert_eq!(Error::from_status(&status), Error::internal());
    }

    #[test]
    fn a_negative_pushback_is_no_time_to_wait() {
        let mut status = Status::unavailable("");
        status.metadata_mut().insert(RETRY_PUSHBACK_METADATA, MetadataValue::from_static("-1"));
        assert_eq!(Error::from_status(&status).retry_after, None);
    }

    #[test]
    fn fields_that_do_not_fit_into_a_header_are_left_out() {
        let field = FieldError::new("/".to_owned() + &"x".repeat(127), FieldCode::Invalid, "y".repeat(256));
        let error = Error::invalid_fields(vec![field; 32]);
        let back = Error::from_status(&Status::from(&error));
        assert!((1..32).contains(&back.fields.len()));
        assert_eq!(back.code, error.code);
    }
}
