//! What tonic calls the failures of a connection, put into gRPC's words.
//!
//! A connection that breaks under a call is `UNKNOWN` or `CANCELLED` in tonic 0.14.9, from which nobody can tell
//! that the call may be made again. gRPC's own implementations say `UNAVAILABLE`. A `grpc-timeout` that runs out in
//! tonic's transport is `CANCELLED` there; here it is what it is.

use std::error::Error;

use bytes::Bytes;
use http_body_util::BodyExt;
use tonic::{Code, Status, TimeoutExpired, body::Body, transport};

use crate::deadline::Expired;

/// The status of a call that never got a response.
pub(super) fn of_connection(error: transport::Error) -> Status {
    let causes = std::iter::successors(Some(&error as &(dyn Error + 'static)), |error| (*error).source());
    if causes.into_iter().any(<dyn Error>::is::<TimeoutExpired>) {
        return Expired.into();
    }
    rename(Status::from_error(error.into()))
}

/// Why there was no answer, for people: the code, and the last cause, which knows most.
pub(super) fn reason(status: &Status) -> String {
    let first: &(dyn Error + 'static) = status;
    match std::iter::successors(Some(first), |error| (*error).source()).skip(1).last() {
        Some(cause) => format!("{:?}: {cause}", status.code()),
        None => format!("{:?}: {}", status.code(), status.message()),
    }
}

/// Gives the failures of a response's body their names.
pub(super) fn name_body_faults(
    body: impl http_body::Body<Data = Bytes, Error = Status> + Send + 'static,
) -> Body {
    Body::new(body.map_err(rename))
}

fn rename(status: Status) -> Status {
    match status.code() {
        Code::Unknown | Code::Cancelled => {
            let mut renamed = Status::unavailable("the connection broke");
            // Keeps the cause for those who look for it.
            renamed.set_source(std::sync::Arc::new(status));
            renamed
        }
        _ => status,
    }
}
