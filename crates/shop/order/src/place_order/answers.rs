//! What a failed call tells of what it asked for.
//!
//! Refused is only what the other service itself said (`waypost-error`), and only where a rule of it decided: anything between
//! the two that makes up an answer of its own leaves the outcome unknown.

use crate::domain::Refusal;
use tonic::{Code, Status};
use waypost_api::{Error, ErrorCode};
use waypost_durable::saga::Failure;
use waypost_resilience::retry::not_sent;

/// What a failed call tells of what it asked for.
pub(super) fn failure(status: &Status) -> Failure<Refusal> {
    let error = Error::from_status(status);
    if let Some(retry_in) = not_sent(status) {
        return Failure::NotSent { reason: error.into(), retry_in };
    }
    match Error::named_code(status) {
        // No decision about the order, but about who may speak for it.
        Some(ErrorCode::StaleRunner) => Failure::Fenced(error.into()),
        Some(code) if is_decision(code) => Failure::Refused(error.into()),
        _ => Failure::Unknown(error.into()),
    }
}

/// True when a code of the table says that a rule was asked and said no, so that the request had no effect and will have
/// none. The others tell of time, load and faults.
fn is_decision(code: ErrorCode) -> bool {
    matches!(
        code.grpc_code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::Unauthenticated
    )
}

/// An answer of the payment service without what it must have, or with what only another version knows.
pub(super) fn broken_answer(what: &str) -> Failure<Refusal> {
    let detail = format!("the payment service answered without {what} that this version knows");
    Failure::Malformed(Error::new(ErrorCode::Internal, detail).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_services_own_no_is_a_refusal() {
        let refused = failure(&Error::of(ErrorCode::OutOfStock).into());
        assert!(matches!(refused, Failure::Refused(Refusal { code: ErrorCode::OutOfStock, .. })));
        for code in [ErrorCode::Unavailable, ErrorCode::PaymentUnknown, ErrorCode::Overloaded] {
            assert!(matches!(failure(&Error::of(code).into()), Failure::Unknown(_)), "{code}");
        }
        // What proxies, tonic and other versions answer by themselves, whatever the code.
        for code in (1..=16).map(Code::from_i32) {
            let Failure::Unknown(reason) = failure(&Status::new(code, "")) else { panic!("{code:?} counts") };
            assert!(reason.code.is_failure(), "{code:?} becomes the reason {}", reason.code);
        }
        let stale = failure(&Error::of(ErrorCode::StaleRunner).into());
        assert!(matches!(stale, Failure::Fenced(Refusal { code: ErrorCode::StaleRunner, .. })));
        // A code that contradicts its status is not believed either.
        let mut contradicts = Status::from(Error::of(ErrorCode::OutOfStock));
        contradicts = Status::with_metadata(Code::NotFound, "", contradicts.metadata().clone());
        assert!(matches!(failure(&contradicts), Failure::Unknown(_)));
    }
}
