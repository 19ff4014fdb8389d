//! The class of a transport error: `error.type` for those who never got an answer.
//!
//! A class is one of few words, never the text of the error, so that it can label a metric. The source chain is
//! searched for the errors that transports of this stack are known to give; any other has the name of its type.

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::error::Error;
use std::io;

type BoxError = Box<dyn Error + Send + Sync>;

/// The `error.type` of an error of a service or body.
pub(crate) fn error_type<E: 'static>(error: &E) -> Cow<'static, str> {
    Cow::Borrowed(class(error).unwrap_or_else(type_name::<E>))
}

/// The class of an error whose cause is known.
pub(crate) fn class<E: 'static>(error: &E) -> Option<&'static str> {
    as_error(error).and_then(|error| chain(error).find_map(known_class))
}

#[cfg(feature = "grpc")]
/// The gRPC code in the error's chain, or the one its class stands for, as tonic's clients report it.
pub(crate) fn grpc_code<E: 'static>(error: &E) -> tonic::Code {
    let code = |error: &(dyn Error + 'static)| {
        if let Some(status) = error.downcast_ref::<tonic::Status>() {
            return Some(status.code());
        }
        if error.is::<tonic::TimeoutExpired>() {
            return Some(tonic::Code::Cancelled);
        }
        let refused = error.is::<tonic::ConnectError>() || known_class(error) == Some("connection_refused");
        refused.then_some(tonic::Code::Unavailable)
    };
    as_error(error).and_then(|error| chain(error).find_map(code)).unwrap_or(tonic::Code::Unknown)
}

/// Errors reach the layers as type parameters without a bound; these are the types they are made of.
fn as_error<E: 'static>(error: &E) -> Option<&(dyn Error + 'static)> {
    fn of<T: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
        error.downcast_ref::<T>().map(|error| error as _)
    }
    let any: &dyn Any = error;
    if let Some(boxed) = any.downcast_ref::<BoxError>() {
        return Some(&**boxed);
    }
    // Servers whose tasks stay on one thread.
    if let Some(boxed) = any.downcast_ref::<Box<dyn Error>>() {
        return Some(&**boxed);
    }
    let found = of::<io::Error>(any);
    #[cfg(feature = "axum")]
    let found = found.or_else(|| of::<axum::Error>(any));
    #[cfg(feature = "grpc")]
    let found = found.or_else(|| of::<tonic::transport::Error>(any)).or_else(|| of::<tonic::Status>(any));
    #[cfg(feature = "_hyper")]
    let found =
        found.or_else(|| of::<hyper::Error>(any)).or_else(|| of::<hyper_util::client::legacy::Error>(any));
    #[cfg(feature = "reqwest")]
    let found = found.or_else(|| of::<reqwest::Error>(any));
    #[cfg(feature = "reqwest-middleware")]
    let found = found.or_else(|| of::<reqwest_middleware::Error>(any));
    found
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn known_class(error: &(dyn Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "grpc")]
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        return Some(crate::base::error::grpc_code_name(status.code()));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // An error wrapped by `io::Error::other` says nothing itself and is not in the chain of sources.
        let inner = error.get_ref().and_then(|inner| chain(inner).find_map(known_class));
        return inner.or_else(|| io_class(error.kind()));
    }
    #[cfg(feature = "_hyper")]
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return hyper_class(error);
    }
    #[cfg(feature = "reqwest")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return reqwest_class(error);
    }
    #[cfg(feature = "reqwest-middleware")]
    match error.downcast_ref() {
        Some(reqwest_middleware::Error::Middleware(error)) => return error.chain().find_map(known_class),
        Some(reqwest_middleware::Error::Reqwest(error)) => return reqwest_class(error),
        None => {}
    }
    let is_timeout = error.is::<tokio::time::error::Elapsed>();
    #[cfg(any(feature = "axum", feature = "grpc"))]
    let is_timeout = is_timeout || error.is::<tower::timeout::error::Elapsed>();
    #[cfg(feature = "grpc")]
    let is_timeout = is_timeout || error.is::<tonic::TimeoutExpired>();
    is_timeout.then_some("timeout")
}

#[cfg(feature = "_hyper")]
fn hyper_class(error: &hyper::Error) -> Option<&'static str> {
    let has_source = error.source().is_some();
    match error {
        error if error.is_timeout() => Some("timeout"),
        error if error.is_incomplete_message() => Some("connection_closed"),
        error if error.is_closed() || error.is_canceled() => Some("connection_closed"),
        error if error.is_parse() => Some("invalid_response"),
        error if error.is_user() && !has_source => Some("invalid_request"),
        _ => None,
    }
}

/// What reqwest alone knows; what its transport knows stands below it.
#[cfg(feature = "reqwest")]
fn reqwest_class(error: &reqwest::Error) -> Option<&'static str> {
    match error {
        error if error.is_timeout() => Some("timeout"),
        error if error.is_redirect() => Some("too_many_redirects"),
        error if error.is_builder() => Some("invalid_request"),
        _ => None,
    }
}

fn io_class(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "connection_reset"
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotConnected => "connection_closed",
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            "host_unreachable"
        }
        io::ErrorKind::AddrNotAvailable => "address_not_available",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_found_in_the_chain_of_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot send")]
        struct Outer(#[source] io::Error);

        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(error_type(&refused()), "connection_refused");
        let boxed: BoxError = Box::new(Outer(refused()));
        assert_eq!(error_type(&boxed), "connection_refused");
        assert_eq!(error_type(&io::Error::other(Outer(refused()))), "connection_refused");
        assert_eq!(grpc_code(&boxed), tonic::Code::Unavailable);
    }

    #[test]
    fn an_unknown_error_has_the_name_of_its_type_and_never_its_text() {
        #[derive(Debug)]
        struct Secretive;
        assert!(error_type(&Secretive).ends_with("Secretive"));
        assert_eq!(grpc_code(&Secretive), tonic::Code::Unknown);
    }

    #[test]
    fn the_code_of_a_status_is_found_in_a_box() {
        let boxed: BoxError = Box::new(tonic::Status::resource_exhausted("full"));
        assert_eq!(grpc_code(&boxed), tonic::Code::ResourceExhausted);
    }
}
