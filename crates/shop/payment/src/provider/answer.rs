//! What the provider sends, read with suspicion.

use super::ProviderError;
use crate::domain::{Charge, ChargeStatus};
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use waypost_api::{Amount, Currency, Money, PaymentId, TransactionId};

/// Longest code of the provider that is kept.
const MAX_CODE_LENGTH: usize = 64;

/// A charge as the provider writes it. Fields that we do not know are its own business.
#[derive(Debug, Deserialize)]
pub(super) struct ChargeBody {
    id: TransactionId,
    status: StatusBody,
    amount: Amount,
    currency: Currency,
    captured: Amount,
    refunded: Amount,
    reference: PaymentId,
    #[serde(default)]
    decline_code: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusBody {
    Authorized,
    Declined,
    Captured,
    Voided,
    Refunded,
}

/// The charges with a reference: one, or none.
#[derive(Debug, Deserialize)]
pub(super) struct ChargesBody {
    charges: Vec<ChargeBody>,
}

/// RFC 9457, as far as it is of use.
#[derive(Deserialize)]
struct ProblemBody {
    code: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} charges have one reference")]
struct Ambiguous(usize);

impl ChargeBody {
    pub(super) fn into_charge(self) -> Charge {
        let status = match self.status {
            StatusBody::Authorized => ChargeStatus::Authorized,
            StatusBody::Declined => ChargeStatus::Declined,
            // Some providers have a word of its own for this, some do not.
            StatusBody::Captured if self.captured > Amount::ZERO && self.refunded == self.captured => {
                ChargeStatus::Refunded
            }
            StatusBody::Captured => ChargeStatus::Captured,
            StatusBody::Voided => ChargeStatus::Voided,
            StatusBody::Refunded => ChargeStatus::Refunded,
        };
        let decline_code = match status {
            ChargeStatus::Declined => {
                Some(self.decline_code.and_then(plain).unwrap_or_else(|| "declined".into()))
            }
            _ => None,
        };
        Charge {
            id: self.id,
            reference: self.reference,
            status,
            amount: Money::new(self.amount.ten_thousandths(), self.currency),
            captured: self.captured.ten_thousandths(),
            refunded: self.refunded.ten_thousandths(),
            decline_code,
        }
    }
}

impl ChargesBody {
    pub(super) fn into_charge(mut self) -> Result<Option<Charge>, ProviderError> {
        if self.charges.len() > 1 {
            return Err(ProviderError::Malformed(Box::new(Ambiguous(self.charges.len()))));
        }
        Ok(self.charges.pop().map(ChargeBody::into_charge))
    }
}

/// Codes by which, with 400 or 422, a rule of the provider says no: it read the request and did nothing. Any other code
/// of these statuses is about a request that it could not make sense of, which says nothing about a card.
const DECISIONS: [&str; 14] = [
    // About the means of payment and the amount.
    "card_declined",
    "insufficient_funds",
    "expired_card",
    "payment_method_not_accepted",
    "currency_not_supported",
    "amount_too_small",
    "amount_too_large",
    // About where the charge stands.
    "charge_state",
    "charge_expired",
    "charge_disputed",
    "refund_too_large",
    "refund_too_late",
    "refund_rejected",
    "balance_insufficient",
];

/// An answer by its status: a value, a definite no, or a failure that leaves the outcome open.
///
/// | status | meaning |
/// |---|---|
/// | 2xx | the value; what cannot be read is open |
/// | 402; 400 and 422 with a code of [`DECISIONS`] | no, and nothing was done |
/// | 409 | a request with the same key still runs: open |
/// | 408, 425, 429, 3xx, 5xx | busy or broken: open |
/// | any other 4xx (400, 401, 403, 404, 405, 422) | our key, address or request is wrong: open, and somebody has to look |
pub(super) fn read<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, ProviderError> {
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|error| ProviderError::Malformed(Box::new(error)));
    }
    let given = serde_json::from_slice::<ProblemBody>(body).ok().and_then(|problem| plain(problem.code));
    let is_decision = given.as_deref().is_some_and(|code| DECISIONS.contains(&code));
    let code = given.unwrap_or_else(|| format!("http_{}", status.as_u16()));
    Err(match status {
        StatusCode::PAYMENT_REQUIRED => ProviderError::Refused { status, code },
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if is_decision => {
            ProviderError::Refused { status, code }
        }
        StatusCode::CONFLICT => ProviderError::StillRunning,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            ProviderError::Failed(status)
        }
        _ if status.is_client_error() => ProviderError::OurFault { status, code },
        _ => ProviderError::Failed(status),
    })
}

/// The code if it is fit for a header, a row and a span.
fn plain(code: String) -> Option<String> {
    let is_plain = (1..=MAX_CODE_LENGTH).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    is_plain.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHARGE: &str = r#"{"id":"ch_1","status":"declined","amount":99.99,"currency":"USD","captured":0,
        "refunded":0,"reference":"pay-1","decline_code":"insufficient_funds","livemode":false}"#;

    fn charge(body: &str) -> Result<Charge, ProviderError> {
        read::<ChargeBody>(StatusCode::CREATED, body.as_bytes()).map(ChargeBody::into_charge)
    }

    #[test]
    fn a_charge_is_read_exactly() {
        let charge = charge(CHARGE).unwrap();
        assert_eq!(charge.amount, Money::new(999_900, Currency::USD));
        assert_eq!(charge.decline_code.as_deref(), Some("insufficient_funds"));
    }

    #[test]
    fn an_answer_that_is_not_what_was_agreed_on_is_not_believed() {
        let wrong = [
            "",
            "null",
            "[]",
            "<html>",
            &CHARGE.replace("ch_1", "ch 1"),
            &CHARGE.replace("declined", "shipped"),
            &CHARGE.replace("99.99", "\"a lot\""),
            &CHARGE.replace("99.99", "1e40"),
            &CHARGE.replace("USD", "dollars"),
        ];
        for body in wrong {
            assert!(matches!(charge(body), Err(ProviderError::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn a_code_that_is_not_plain_is_replaced() {
        let body = CHARGE.replace("insufficient_funds", "a\\r\\nb");
        assert_eq!(charge(&body).unwrap().decline_code.as_deref(), Some("declined"));
    }

    #[test]
    fn only_a_decision_of_the_provider_is_a_definite_no() {
        let answer = |status: u16, code: &str| {
            let body = format!(r#"{{"code":"{code}"}}"#);
            read::<ChargeBody>(StatusCode::from_u16(status).unwrap(), body.as_bytes()).unwrap_err()
        };
        for (status, code) in [(402, "card_declined"), (402, "http_402"), (400, "currency_not_supported")] {
            let error = answer(status, code);
            assert!(matches!(&error, ProviderError::Refused { code: told, .. } if told == code), "{error:?}");
        }
        assert!(matches!(answer(422, "charge_state"), ProviderError::Refused { .. }));
        // 409 speaks of another request with the same key, whatever code comes with it.
        for code in ["charge_state", "card_declined", "busy"] {
            assert!(matches!(answer(409, code), ProviderError::StillRunning), "{code}");
        }
        for status in [401, 403, 404, 405, 410, 413] {
            let error = answer(status, "card_declined");
            assert!(matches!(error, ProviderError::OurFault { .. }), "{status}: {error:?}");
        }
        for code in ["invalid_request", "idempotency_key_reused", "new_code"] {
            assert!(matches!(answer(422, code), ProviderError::OurFault { .. }), "{code}");
        }
        for status in [301, 408, 425, 429, 500, 503] {
            assert!(matches!(answer(status, "card_declined"), ProviderError::Failed(_)), "{status}");
        }
    }

    #[test]
    fn what_was_given_back_whole_is_refunded_under_either_name() {
        for status in ["captured", "refunded"] {
            let body = CHARGE.replace("declined\",", &format!("{status}\",")).replace(":0,", ":99.99,");
            assert_eq!(charge(&body).unwrap().status, ChargeStatus::Refunded);
        }
    }

    #[test]
    fn one_reference_has_one_charge() {
        let read = |body: String| read::<ChargesBody>(StatusCode::OK, body.as_bytes())?.into_charge();
        assert!(matches!(read(r#"{"charges":[]}"#.into()), Ok(None)));
        assert!(matches!(read(format!(r#"{{"charges":[{CHARGE}]}}"#)), Ok(Some(_))));
        assert!(matches!(
            read(format!(r#"{{"charges":[{CHARGE},{CHARGE}]}}"#)),
            Err(ProviderError::Malformed(_))
        ));
    }
}
