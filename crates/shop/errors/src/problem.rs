//! Errors as the outside sees them: RFC 9457 problem documents.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Error, ErrorCode, FieldError};

/// The `Content-Type` of a problem document.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was refused or failed (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({
    "type": "/docs/errors#invalid_request", "title": "The request has fields that are not valid", "status": 400,
    "detail": "/quantity must be at most 1000", "instance": "/api/orders", "code": "invalid_request",
    "hint": "Correct what `detail` says; `errors`, where there are any, names each field.",
    "errors": [{"pointer": "/quantity", "code": "too_large", "detail": "must be at most 1000"}],
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
})))]
pub struct Problem {
    /// A URI reference to the explanation of the code.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// What happened, the same for every problem of this type.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Which error it is, for a machine.
    pub code: ErrorCode,
    /// What the caller can do now.
    pub hint: String,
    /// One entry a bad field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Why the order failed, when the problem is that of an order that was placed and is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<ErrorCode>,
    /// The payment provider's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_code: Option<String>,
    /// The trace of the request, 32 hex digits; of a settled order, the trace of the request that placed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Problem {
    /// Describes an error. `instance` and `trace_id` are added by whoever knows the request.
    pub fn new(error: &Error) -> Self {
        let code = error.code;
        Self {
            problem_type: code.problem_type().to_owned(),
            title: code.title().to_owned(),
            status: code.http_status().as_u16(),
            detail: error.detail.clone(),
            instance: None,
            code,
            hint: code.hint().to_owned(),
            errors: error.fields.clone(),
            failure_code: None,
            provider_code: error.provider_code.clone(),
            trace_id: None,
        }
    }

    /// Names the request's path.
    #[must_use]
    pub fn with_instance(mut self, path: impl Into<String>) -> Self {
        self.instance = Some(path.into());
        self
    }

    /// Says that the problem is that of a settled order, and why the order failed.
    #[must_use]
    pub fn with_failure_code(mut self, failure_code: Option<ErrorCode>) -> Self {
        self.failure_code = failure_code;
        self
    }

    /// Names the request's trace, where there is one.
    #[must_use]
    pub fn with_trace_id(mut self, trace_id: Option<String>) -> Self {
        self.trace_id = trace_id;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FieldCode;

    #[test]
    fn a_problem_has_this_json() {
        let field = FieldError::new("/quantity", FieldCode::TooLarge, "must be at most 1000");
        let error = Error::invalid_fields(vec![field]);
        let problem = Problem::new(&error)
            .with_instance("/api/orders")
            .with_trace_id(Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()));
        assert_eq!(
            serde_json::to_string_pretty(&problem).unwrap(),
            r#"{
  "type": "/docs/errors#invalid_request",
  "title": "The request has fields that are not valid",
  "status": 400,
  "detail": "/quantity must be at most 1000",
  "instance": "/api/orders",
  "code": "invalid_request",
  "hint": "Correct what `detail` says; `errors`, where there are any, names each field.",
  "errors": [
    {
      "pointer": "/quantity",
      "code": "too_large",
      "detail": "must be at most 1000"
    }
  ],
  "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"
}"#
        );
    }

    #[test]
    fn what_there_is_not_is_left_out() {
        let json = serde_json::to_value(Problem::new(&Error::internal())).unwrap();
        let mut members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["code", "detail", "hint", "status", "title", "type"]);
    }
}
