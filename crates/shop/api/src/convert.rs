//! Between protobuf messages and the types of this crate.
//!
//! A message may hold anything that its types allow; what comes out of here is valid. A bad value in a *request*
//! is the caller's mistake and becomes `invalid_request` with the field; a bad value in an *answer* of one of our
//! services is ours and becomes `internal`.

use crate::{
    Charge, Error, ErrorCode, FieldCode, FieldError, Money, MoneyMessage, OrderStatus, Timestamp,
    http_bodies::{OrderBody, ProductBody, UserBody},
    inventory, order, payment, user,
};

/// Longest token of a means of payment, in bytes.
const MAX_PAYMENT_METHOD: usize = 64;

impl From<Money> for MoneyMessage {
    fn from(money: Money) -> Self {
        Self { ten_thousandths: money.ten_thousandths(), currency: money.currency().to_string() }
    }
}

impl TryFrom<MoneyMessage> for Money {
    type Error = crate::MoneyError;

    fn try_from(money: MoneyMessage) -> Result<Self, crate::MoneyError> {
        Ok(Money::new(money.ten_thousandths, money.currency.parse()?))
    }
}

impl From<OrderStatus> for order::v1::OrderStatus {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Self::Pending,
            OrderStatus::Confirmed => Self::Confirmed,
            OrderStatus::Completed => Self::Completed,
            OrderStatus::Failed => Self::Failed,
            OrderStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl TryFrom<order::v1::OrderStatus> for OrderStatus {
    type Error = Error;

    fn try_from(status: order::v1::OrderStatus) -> Result<Self, Error> {
        match status {
            order::v1::OrderStatus::Unspecified => Err(broken_answer("a status")),
            order::v1::OrderStatus::Pending => Ok(Self::Pending),
            order::v1::OrderStatus::Confirmed => Ok(Self::Confirmed),
            order::v1::OrderStatus::Completed => Ok(Self::Completed),
            order::v1::OrderStatus::Failed => Ok(Self::Failed),
            order::v1::OrderStatus::Cancelled => Ok(Self::Cancelled),
        }
    }
}

impl From<Charge> for order::v1::Charge {
    fn from(charge: Charge) -> Self {
        match charge {
            Charge::None => Self::None,
            Charge::Open => Self::Open,
            Charge::Captured => Self::Captured,
            Charge::Refunded => Self::Refunded,
        }
    }
}

impl TryFrom<order::v1::Charge> for Charge {
    type Error = Error;

    fn try_from(charge: order::v1::Charge) -> Result<Self, Error> {
        match charge {
            order::v1::Charge::Unspecified => Err(broken_answer("a charge")),
            order::v1::Charge::None => Ok(Self::None),
            order::v1::Charge::Open => Ok(Self::Open),
            order::v1::Charge::Captured => Ok(Self::Captured),
            order::v1::Charge::Refunded => Ok(Self::Refunded),
        }
    }
}

impl payment::v1::PaymentState {
    /// The domain's word, for people: `authorized`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Unknown => "unknown",
            Self::Authorized => "authorized",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Declined => "declined",
            Self::Refunded => "refunded",
        }
    }
}

/// Collects the bad fields of a gRPC request, so that the answer names all of them.
///
/// ```
/// use waypost_api::{UserId, convert::RequestFields};
/// # use waypost_api::{Error, order::v1::GetOrderRequest, OrderId};
/// fn read(request: &GetOrderRequest) -> Result<OrderId, Error> {
///     let mut fields = RequestFields::default();
///     let order_id = fields.text("order_id", &request.order_id);
///     fields.finish(order_id)
/// }
/// let error = read(&GetOrderRequest::default()).unwrap_err();
/// assert_eq!(error.fields[0].pointer, "/order_id");
/// ```
#[derive(Debug, Default)]
pub struct RequestFields {
    errors: Vec<FieldError>,
}

impl RequestFields {
    /// Reads a text as an id, a status or the like.
    pub fn text<T>(&mut self, name: &str, text: &str) -> Option<T>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        if text.is_empty() {
            return self.fail(name, FieldCode::Required, "is required");
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(reason) => self.fail(name, FieldCode::BadFormat, reason.to_string()),
        }
    }

    /// Reads a count that must be in a range.
    pub fn count(&mut self, name: &str, count: u32, allowed: std::ops::RangeInclusive<u32>) -> Option<u32> {
        if count < *allowed.start() {
            return self.fail(name, FieldCode::TooSmall, format!("must be at least {}", allowed.start()));
        }
        if count > *allowed.end() {
            return self.fail(name, FieldCode::TooLarge, format!("must be at most {}", allowed.end()));
        }
        Some(count)
    }

    /// Reads the provider's token of a means of payment. One rule for every service that takes one, so that what was
    /// accepted at one is not refused at the next.
    pub fn payment_method(&mut self, name: &str, token: String) -> Option<String> {
        if token.is_empty() {
            return self.fail(name, FieldCode::Required, "is required");
        }
        if token.len() > MAX_PAYMENT_METHOD || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = format!("must be 1 to {MAX_PAYMENT_METHOD} visible ASCII characters");
            return self.fail(name, FieldCode::BadFormat, detail);
        }
        Some(token)
    }

    /// Reads money that must be there and above zero.
    pub fn positive_money(&mut self, name: &str, money: Option<MoneyMessage>) -> Option<Money> {
        let money = self.required(name, money)?;
        match Money::try_from(money) {
            Ok(money) if money.ten_thousandths() <= 0 => {
                self.fail(name, FieldCode::TooSmall, "must be above 0")
            }
            Ok(money) => Some(money),
            Err(reason) => self.fail(name, FieldCode::BadFormat, reason.to_string()),
        }
    }

    /// Reads a message that must be there.
    pub fn required<T>(&mut self, name: &str, message: Option<T>) -> Option<T> {
        if message.is_none() {
            return self.fail(name, FieldCode::Required, "is required");
        }
        message
    }

    /// Notes a bad field and gives nothing, for checks of the caller's own.
    pub fn fail<T>(&mut self, name: &str, code: FieldCode, detail: impl Into<String>) -> Option<T> {
        self.errors.push(FieldError::new(crate::pointer::member("", name), code, detail));
        None
    }

    /// Gives the value read, or the error with every field that was bad.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Error> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(Error::invalid_fields(self.errors)),
        }
    }
}

/// One of our services answered something that its contract does not allow.
fn broken_answer(what: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("a service answered {what} that its contract does not allow"))
}

fn answered<T, E>(what: &'static str, value: Result<T, E>) -> Result<T, Error> {
    value.map_err(|_| broken_answer(what))
}

fn optional<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { answered(what, text.parse().map(Some)) }
}

/// The money of one of our services' answers; its absence is that service's mistake.
pub fn answered_money(what: &'static str, money: Option<MoneyMessage>) -> Result<Money, Error> {
    answered(what, money.ok_or(crate::MoneyError::NotACurrency).and_then(Money::try_from))
}

fn moment(value: Option<prost_types::Timestamp>) -> Result<Timestamp, Error> {
    answered("a moment", Timestamp::try_from(value.unwrap_or_default()))
}

impl TryFrom<order::v1::Order> for OrderBody {
    type Error = Error;

    fn try_from(order: order::v1::Order) -> Result<Self, Error> {
        let status = OrderStatus::try_from(order.status())?;
        let money = answered_money("an amount", order.amount)?;
        Ok(Self {
            order_id: answered("an order id", order.order_id.parse())?,
            status,
            user_id: answered("a user id", order.user_id.parse())?,
            product_id: answered("a product id", order.product_id.parse())?,
            quantity: order.quantity,
            amount: money.amount(),
            currency: money.currency(),
            failure_code: optional("a failure code", &order.failure_code)?,
            decline_code: Some(order.decline_code).filter(|code| !code.is_empty()),
            transaction_id: optional("a transaction id", &order.transaction_id)?,
            created_at: moment(order.created_at)?,
            updated_at: moment(order.updated_at)?,
            version: order.version,
            trace_id: Some(order.trace_id).filter(|id| !id.is_empty()),
        })
    }
}

impl TryFrom<user::v1::User> for UserBody {
    type Error = Error;

    fn try_from(user: user::v1::User) -> Result<Self, Error> {
        Ok(Self {
            user_id: answered("a user id", user.user_id.parse())?,
            name: user.name,
            email: user.email,
            is_active: user.is_active,
            is_admin: user.is_admin,
        })
    }
}

impl TryFrom<inventory::v1::Product> for ProductBody {
    type Error = Error;

    fn try_from(product: inventory::v1::Product) -> Result<Self, Error> {
        let unit_price = answered_money("a price", product.unit_price)?;
        Ok(Self {
            product_id: answered("a product id", product.product_id.parse())?,
            name: product.name,
            unit_price: unit_price.amount(),
            currency: unit_price.currency(),
            available: u64::try_from(product.available).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Currency, UserId};

    #[test]
    fn a_request_with_several_bad_fields_is_told_all_of_them() {
        let mut fields = RequestFields::default();
        let user: Option<UserId> = fields.text("user_id", "");
        let quantity = fields.count("quantity", 1001, 1..=1000);
        let amount = fields.positive_money("amount", Some(Money::new(0, Currency::USD).into()));
        let price = fields.positive_money("price", None);
        let error = fields.finish(user.zip(quantity).zip(amount).zip(price)).unwrap_err();
        let pointers: Vec<_> = error.fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/user_id", "/quantity", "/amount", "/price"]);
    }

    #[test]
    fn every_state_survives_the_way_through_its_message() {
        for status in OrderStatus::ALL {
            let message = order::v1::OrderStatus::from(status);
            assert_eq!(OrderStatus::try_from(message).unwrap(), status);
            assert_eq!(message.as_str_name(), format!("ORDER_STATUS_{}", status.as_str().to_uppercase()));
        }
        for charge in Charge::ALL {
            let message = order::v1::Charge::from(charge);
            assert_eq!(Charge::try_from(message).unwrap(), charge);
            assert_eq!(message.as_str_name(), format!("CHARGE_{}", charge.as_str().to_uppercase()));
        }
        for state in (0..=6).map(|number| payment::v1::PaymentState::try_from(number).unwrap()) {
            assert_eq!(state.as_str_name(), format!("PAYMENT_STATE_{}", state.word().to_uppercase()));
        }
    }

    #[test]
    fn a_broken_answer_of_a_service_is_our_failure_and_not_the_callers() {
        let whole = order::v1::Order {
            order_id: "order-1".to_owned(),
            user_id: "user123".to_owned(),
            product_id: "prod456".to_owned(),
            amount: Some(Money::new(999_900, Currency::USD).into()),
            status: order::v1::OrderStatus::Pending.into(),
            ..Default::default()
        };
        assert!(OrderBody::try_from(whole.clone()).is_ok());
        // Without a status, as a process of before the enumeration answers; with one of a later version; without money.
        for (status, amount) in [(0, whole.amount.clone()), (99, whole.amount.clone()), (whole.status, None)]
        {
            let broken = order::v1::Order { status, amount, ..whole.clone() };
            assert_eq!(OrderBody::try_from(broken).unwrap_err().code, ErrorCode::Internal);
        }
    }

    #[test]
    fn an_order_message_becomes_the_body_of_an_answer() {
        let moment = prost_types::Timestamp { seconds: 1_763_710_000, nanos: 123_000_000 };
        let order = order::v1::Order {
            order_id: "order-1".to_owned(),
            user_id: "user123".to_owned(),
            product_id: "prod456".to_owned(),
            quantity: 2,
            amount: Some(Money::new(999_900, Currency::USD).into()),
            status: order::v1::OrderStatus::Failed.into(),
            failure_code: "payment_declined".to_owned(),
            decline_code: "insufficient_funds".to_owned(),
            created_at: Some(moment),
            updated_at: Some(moment),
            version: 4,
            ..Default::default()
        };
        let body = OrderBody::try_from(order).unwrap();
        assert_eq!(
            serde_json::to_string(&body).unwrap(),
            r#"{"order_id":"order-1","status":"failed","user_id":"user123","product_id":"prod456","quantity":2,"#
                .to_owned()
                + r#""amount":99.99,"currency":"USD","failure_code":"payment_declined","#
                + r#""decline_code":"insufficient_funds","created_at":"2025-11-21T07:26:40.123Z","#
                + r#""updated_at":"2025-11-21T07:26:40.123Z","version":4}"#
        );
    }
}
