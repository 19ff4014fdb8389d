//! Between protobuf messages and the types of this crate.
//!
//! A message may hold anything that its types allow; what comes out of here is valid. A bad value in a *request*
//! is the caller's mistake and becomes `invalid_request` with the field; a bad value in an *answer* of one of our
//! services is ours and becomes `internal`.

use crate::{
    Amount, Currency, Error, ErrorCode, FieldCode, FieldError, Money, Timestamp,
    http_bodies::{OrderBody, ProductBody, UserBody},
    inventory, order, user,
};

/// Longest token of a means of payment, in bytes.
const MAX_PAYMENT_METHOD: usize = 64;

impl From<Money> for order::v1::Money {
    fn from(money: Money) -> Self {
        Self { ten_thousandths: money.ten_thousandths(), currency: money.currency().to_string() }
    }
}

impl TryFrom<order::v1::Money> for Money {
    type Error = crate::MoneyError;

    fn try_from(money: order::v1::Money) -> Result<Self, crate::MoneyError> {
        Ok(Money::new(money.ten_thousandths, money.currency.parse()?))
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

    /// Reads money that must be above zero.
    pub fn positive_money(&mut self, name: &str, ten_thousandths: i64, currency: &str) -> Option<Money> {
        let currency: Currency = match currency.parse() {
            Ok(currency) => currency,
            Err(reason) => return self.fail(name, FieldCode::BadFormat, reason.to_string()),
        };
        if ten_thousandths <= 0 {
            return self.fail(name, FieldCode::TooSmall, "must be above 0");
        }
        Some(Money::new(ten_thousandths, currency))
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

fn moment(value: Option<prost_types::Timestamp>) -> Result<Timestamp, Error> {
    answered("a moment", Timestamp::try_from(value.unwrap_or_default()))
}

impl TryFrom<order::v1::Order> for OrderBody {
    type Error = Error;

    fn try_from(order: order::v1::Order) -> Result<Self, Error> {
        let money = answered("an amount", Money::try_from(order.amount.unwrap_or_default()))?;
        Ok(Self {
            order_id: answered("an order id", order.order_id.parse())?,
            status: answered("a status", order.status.parse())?,
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
        Ok(Self {
            product_id: answered("a product id", product.product_id.parse())?,
            name: product.name,
            unit_price: Amount::from_ten_thousandths(product.unit_price_ten_thousandths),
            currency: answered("a currency", product.currency.parse())?,
            available: u64::try_from(product.available).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserId;

    #[test]
    fn a_request_with_several_bad_fields_is_told_all_of_them() {
        let mut fields = RequestFields::default();
        let user: Option<UserId> = fields.text("user_id", "");
        let quantity = fields.count("quantity", 1001, 1..=1000);
        let amount = fields.positive_money("amount", 0, "USD");
        let error = fields.finish(user.zip(quantity).zip(amount)).unwrap_err();
        let pointers: Vec<_> = error.fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/user_id", "/quantity", "/amount"]);
    }

    #[test]
    fn a_broken_answer_of_a_service_is_our_failure_and_not_the_callers() {
        let order = order::v1::Order { status: "shipped".to_owned(), ..Default::default() };
        assert_eq!(OrderBody::try_from(order).unwrap_err().code, ErrorCode::Internal);
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
            status: "failed".to_owned(),
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
