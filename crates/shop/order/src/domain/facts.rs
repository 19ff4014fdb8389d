//! What the steps of an order's saga bring about, as its journal keeps it.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use waypost_api::attributes::PAYMENT_PROVIDER_CODE;
use waypost_api::{ErrorCode, TransactionId};
use waypost_durable::saga::Entry;
use waypost_telemetry::{
    ErrorType,
    error::ErrorClass,
    opentelemetry::{KeyValue, logs::Severity},
};

/// The local step that makes an order `confirmed`.
pub const CONFIRM: &str = "confirm";

/// One fact of an order's journal.
pub type Fact = Entry<Output, Refusal>;

/// What a step hands back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The stock is held.
    Reserved,
    /// The amount is set aside at the provider.
    Authorized {
        /// The provider's id of the charge.
        transaction: TransactionId,
    },
    /// The money is taken.
    Captured,
    /// The stock is taken.
    Committed,
}

/// Why a step did not do its work: a rule of the other service said no, or it could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Which error of the table it is; becomes the order's failure code.
    pub code: ErrorCode,
    /// In words that may be shown.
    pub detail: String,
    /// The payment provider's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}

impl From<waypost_api::Error> for Refusal {
    fn from(error: waypost_api::Error) -> Refusal {
        Refusal { code: error.code, detail: error.detail, decline_code: error.provider_code }
    }
}

/// To the caller of an order's service a refusal is an answer, but the step that met it has failed: the trace shows
/// where and why an order ended.
impl ErrorType for Refusal {
    fn error_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(self.code.as_str())
    }

    fn severity(&self) -> Severity {
        if self.code.is_failure() { Severity::Warn } else { Severity::Info }
    }

    fn class(&self) -> ErrorClass {
        self.code.class()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let code = self.decline_code.iter();
        code.map(|code| KeyValue::new(PAYMENT_PROVIDER_CODE, code.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_has_the_class_of_its_code() {
        for code in ErrorCode::ALL {
            assert_eq!(Refusal::from(waypost_api::Error::of(*code)).class(), code.class(), "{code}");
        }
    }
}
