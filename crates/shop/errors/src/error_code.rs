//! The one table of error codes.
//!
//! For everything that says "no": a service picks a code, and the HTTP status, the gRPC code, the problem type,
//! the title and the hint follow from this table and from nowhere else. `docs/errors.md` has a section a code.
//!
//! Invariant: a code, once published, keeps its name and its meaning.

use std::{fmt, str::FromStr};

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tonic::Code;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use waypost_telemetry::error::ErrorClass;

struct Row {
    name: &'static str,
    problem_type: &'static str,
    http: StatusCode,
    grpc: Code,
    retryable: bool,
    title: &'static str,
    hint: &'static str,
}

macro_rules! table {
    ($($variant:ident $name:literal $http:ident $grpc:ident $again:ident $title:literal $hint:literal)*) => {
        /// Why a request was refused or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = concat!($title, ".")] $variant,)*
        }

        impl ErrorCode {
            /// Every code, in the order of `docs/errors.md`.
            pub const ALL: &'static [ErrorCode] = &[$(Self::$variant,)*];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        problem_type: concat!("/docs/errors#", $name),
                        http: StatusCode::$http,
                        grpc: Code::$grpc,
                        retryable: retryable!($again),
                        title: $title,
                        hint: $hint,
                    },)*
                }
            }
        }
    };
}

macro_rules! retryable {
    (again) => {
        true
    };
    (never) => {
        false
    };
}

// variant, name, HTTP status, gRPC code, whether the same request may be sent again, title, hint
#[rustfmt::skip]
table! {
    // What the client sent.
    InvalidRequest "invalid_request" BAD_REQUEST InvalidArgument never
        "The request has fields that are not valid"
        "Correct what `detail` says; `errors`, where there are any, names each field."
    UnknownField "unknown_field" BAD_REQUEST InvalidArgument never
        "The request has fields that do not exist"
        "Leave out the fields that `errors` lists, or correct their spelling."
    MalformedJson "malformed_json" BAD_REQUEST InvalidArgument never
        "The body is not JSON"
        "Send one JSON value; `detail` gives the line and column where reading stopped."
    InvalidPageToken "invalid_page_token" BAD_REQUEST InvalidArgument never
        "The page token is not one of ours"
        "Send `next_page_token` of the page before as it is, or none for the first page."
    AmountMismatch "amount_mismatch" UNPROCESSABLE_ENTITY FailedPrecondition never
        "The amount is not what the order costs"
        "Ask for the product's price and send price times quantity."
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED Unimplemented never
        "The path does not take this method"
        "Use one of the methods in the `Allow` header."
    PayloadTooLarge "payload_too_large" PAYLOAD_TOO_LARGE OutOfRange never
        "The body is too large"
        "Send less; `detail` gives the limit."
    UriTooLong "uri_too_long" URI_TOO_LONG OutOfRange never
        "The request's target is too long"
        "Send a shorter path and query."
    HeadersTooLarge "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE OutOfRange never
        "The headers are too many or too large"
        "Send fewer and shorter headers."
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE InvalidArgument never
        "The body's type is not supported"
        "Send `Content-Type: application/json`."
    HeaderTimeout "header_timeout" REQUEST_TIMEOUT DeadlineExceeded again
        "The headers did not arrive in time"
        "Send the request again over a working connection."
    BodyTimeout "body_timeout" REQUEST_TIMEOUT DeadlineExceeded again
        "The body did not arrive in time"
        "Send the request again over a working connection."

    // Who the client is.
    Unauthenticated "unauthenticated" UNAUTHORIZED Unauthenticated never
        "A valid token is needed"
        "Log in at `POST /api/login` and send `Authorization: Bearer <token>`."
    BadCredentials "bad_credentials" UNAUTHORIZED Unauthenticated never
        "The user id or the password is wrong"
        "Check both; which of them is wrong is not told."
    TokenExpired "token_expired" UNAUTHORIZED Unauthenticated never
        "The token has expired"
        "Log in again at `POST /api/login`."
    Forbidden "forbidden" FORBIDDEN PermissionDenied never
        "The caller may not do this"
        "Use the account that the resource belongs to, or ask an operator."
    UserInactive "user_inactive" FORBIDDEN PermissionDenied never
        "The user may not order"
        "An operator has to make the user active again."
    CrossSite "cross_site" FORBIDDEN PermissionDenied never
        "The request comes from a page of another site"
        "Call the gateway from a program, or from a page of its own."
    UnknownHost "unknown_host" MISDIRECTED_REQUEST PermissionDenied never
        "The gateway does not go by this name"
        "Use localhost or the address in the URL, or add the name to `gateway.hosts`."

    // What does not exist.
    NotFound "not_found" NOT_FOUND NotFound never
        "There is nothing here"
        "Check the path against `/api/openapi.json`."
    UserNotFound "user_not_found" NOT_FOUND NotFound never
        "The user does not exist"
        "Check the user id."
    ProductNotFound "product_not_found" NOT_FOUND NotFound never
        "The product does not exist"
        "Check the product id."
    OrderNotFound "order_not_found" NOT_FOUND NotFound never
        "The order does not exist"
        "Check the order id; another user's order is not shown either."
    PaymentNotFound "payment_not_found" NOT_FOUND NotFound never
        "The order has no payment"
        "Check the order id; an order that failed early has none."
    ReservationNotFound "reservation_not_found" NOT_FOUND NotFound never
        "The order holds no stock"
        "Reserve the stock first."

    // What the state of things forbids.
    OutOfStock "out_of_stock" CONFLICT FailedPrecondition never
        "There is not enough stock"
        "Order less, or try again when there is stock, with a new key."
    PriceChanged "price_changed" CONFLICT FailedPrecondition never
        "The price has changed"
        "Ask for the product's price and place a new order."
    PaymentDeclined "payment_declined" PAYMENT_REQUIRED FailedPrecondition never
        "The payment was declined"
        "Use another means of payment and a new key; `provider_code` is the provider's reason."
    PaymentConflict "payment_conflict" CONFLICT FailedPrecondition never
        "The payment's state does not allow this"
        "Look the payment up; what is voided cannot be captured."
    RefundTooLarge "refund_too_large" CONFLICT FailedPrecondition never
        "The refunds would exceed what was captured"
        "Refund at most what is left."
    ReservationExpired "reservation_expired" CONFLICT FailedPrecondition never
        "The hold on the stock has run out"
        "Place a new order."
    ReservationConflict "reservation_conflict" CONFLICT FailedPrecondition never
        "The hold on the stock has already ended"
        "Look the order up; a hold that was given back cannot be used."
    StaleRunner "stale_runner" CONFLICT FailedPrecondition never
        "Another process carries the order on"
        "Nothing was done. Look the order up: whoever has it by now ends it."
    OrderFailed "order_failed" UNPROCESSABLE_ENTITY FailedPrecondition never
        "The order failed"
        "The order is settled and stays failed. To try again, place a new order with a new `Idempotency-Key`."
    OrderNotCancellable "order_not_cancellable" CONFLICT FailedPrecondition never
        "The order can no longer be cancelled"
        "An order can be cancelled until it is paid; ask for a refund."
    IdempotencyKeyRequired "idempotency_key_required" BAD_REQUEST InvalidArgument never
        "The request needs an Idempotency-Key"
        "Send an `Idempotency-Key` header with a fresh UUID, and the same one when you repeat the request."
    IdempotencyKeyInUse "idempotency_key_in_use" CONFLICT Aborted again
        "The first request with this key is still running"
        "Send the same request again after `Retry-After`; its answer will be the first one's."
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY InvalidArgument never
        "The key was used for another request"
        "Use a new `Idempotency-Key` for a new request."
    Conflict "conflict" CONFLICT Aborted again
        "Something else changed the same thing at the same time"
        "Read the current state and send the request again if it still makes sense."

    // How much there is of it.
    RateLimited "rate_limited" TOO_MANY_REQUESTS ResourceExhausted again
        "Too many requests"
        "Wait as long as `Retry-After` says; the `RateLimit` headers show what is left."
    Overloaded "overloaded" SERVICE_UNAVAILABLE ResourceExhausted again
        "The service has too much to do"
        "Send the request again after `Retry-After`, more slowly."
    StorageFull "storage_full" INSUFFICIENT_STORAGE ResourceExhausted again
        "The service has no room to store this"
        "Nothing was accepted. An operator has to make room; then send the request again."

    // What failed on our side.
    Unavailable "unavailable" SERVICE_UNAVAILABLE Unavailable again
        "A service that is needed cannot be reached"
        "Send the request again after `Retry-After`, with the same `Idempotency-Key`."
    PaymentUnknown "payment_unknown" SERVICE_UNAVAILABLE Unavailable again
        "The outcome of the payment is not known yet"
        "Send the same request again with the same key; you will not be charged twice."
    DeadlineExceeded "deadline_exceeded" GATEWAY_TIMEOUT DeadlineExceeded again
        "The request took too long"
        "It may have had its effect: look it up, or send it again with the same `Idempotency-Key`."
    Cancelled "cancelled" SERVICE_UNAVAILABLE Cancelled again
        "The request was given up before it ended"
        "It may have had its effect: look it up, or send it again with the same `Idempotency-Key`."
    ProviderFailed "provider_failed" BAD_GATEWAY Internal never
        "The payment provider gave an answer that makes no sense"
        "Nothing is lost; tell an operator the `trace_id`."
    Internal "internal" INTERNAL_SERVER_ERROR Internal never
        "Something went wrong on our side"
        "Tell an operator the `trace_id`; it leads to the cause."
}

impl ErrorCode {
    /// The name, as messages, rows, attributes and `docs/errors.md` write it.
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status that the gateway answers.
    pub const fn http_status(self) -> StatusCode {
        self.row().http
    }

    /// The gRPC code that a service answers.
    pub const fn grpc_code(self) -> Code {
        self.row().grpc
    }

    /// True when the same request, sent again unchanged, may succeed without anybody doing anything. A request
    /// with an effect needs its idempotency key for that.
    pub const fn is_retryable(self) -> bool {
        self.row().retryable
    }

    /// The code that a request is answered whose order failed for this reason.
    ///
    /// A settled order stays as it is, so no answer about one may ask for the same request again: a reason that a
    /// client can do something about is told as itself, every other one as `order_failed`, with the reason beside it.
    /// None of these codes is retryable.
    #[must_use]
    pub const fn of_failed_order(self) -> ErrorCode {
        match self {
            Self::OutOfStock | Self::PriceChanged | Self::PaymentDeclined | Self::ReservationExpired => self,
            _ => Self::OrderFailed,
        }
    }

    /// True when our side is to blame: the HTTP status is 500 or above. Only then does a span become an error.
    pub const fn is_failure(self) -> bool {
        self.row().http.as_u16() >= 500
    }

    /// Whose move it is, for telemetry: the one mapping, whichever side of a call records the error.
    pub const fn class(self) -> ErrorClass {
        match self.row().grpc {
            Code::FailedPrecondition | Code::Aborted => ErrorClass::Refused,
            Code::ResourceExhausted => ErrorClass::Overload,
            Code::DeadlineExceeded => ErrorClass::Timeout,
            Code::Unavailable => ErrorClass::Dependency,
            _ if matches!(self, Self::ProviderFailed) => ErrorClass::Dependency,
            _ if self.is_failure() => ErrorClass::Internal,
            _ => ErrorClass::Caller,
        }
    }

    /// A URI reference to the explanation: `/docs/errors#<code>`.
    pub const fn problem_type(self) -> &'static str {
        self.row().problem_type
    }

    /// What happened, in one line that is the same every time.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// What the caller can do now.
    pub const fn hint(self) -> &'static str {
        self.row().hint
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not the name of an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an error code")]
pub struct UnknownErrorCode;

impl FromStr for ErrorCode {
    type Err = UnknownErrorCode;

    fn from_str(text: &str) -> Result<Self, UnknownErrorCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownErrorCode)
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Why a request was refused or failed; `docs/errors.md` explains each."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl utoipa::ToSchema for ErrorCode {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_one_name_of_its_own() {
        let names: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(code.problem_type(), format!("/docs/errors#{}", code.as_str()));
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        }
        assert_eq!("nonsense".parse::<ErrorCode>(), Err(UnknownErrorCode));
    }

    #[test]
    fn every_code_answers_an_error_and_says_what_to_do() {
        for code in ErrorCode::ALL {
            assert!(code.http_status().is_client_error() || code.http_status().is_server_error(), "{code}");
            assert_ne!(code.grpc_code(), Code::Ok, "{code}");
            assert!(code.hint().ends_with('.') && !code.title().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn no_failed_order_is_told_to_be_sent_again() {
        for code in ErrorCode::ALL.iter().map(|code| code.of_failed_order()) {
            assert!(!code.is_retryable() && code.http_status().is_client_error(), "{code}");
        }
    }

    #[test]
    fn the_docs_explain_every_code_in_the_order_of_the_table() {
        let docs = include_str!("../../../../docs/errors.md");
        let sections: Vec<_> =
            docs.lines().filter_map(|line| line.strip_prefix("### ")).map(str::trim).collect();
        let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(sections, codes, "docs/errors.md needs one `### code` section a code, in this order");
    }

    #[test]
    fn the_docs_give_the_statuses_of_the_table() {
        let docs = include_str!("../../../../docs/errors.md");
        for code in ErrorCode::ALL {
            let section = docs.split("\n### ").find(|section| section.lines().next() == Some(code.as_str()));
            let again = if code.is_retryable() { "may be sent again" } else { "not to be sent again" };
            let facts =
                format!("HTTP {}, gRPC {:?}, {again}.", code.http_status().as_u16(), code.grpc_code());
            let written = section.unwrap().lines().nth(2);
            assert_eq!(written, Some(facts.as_str()), "section {code}");
        }
    }
}
