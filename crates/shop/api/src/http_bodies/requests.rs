//! Reads the bodies of requests, each field with its rule.

use crate::{
    Currency, Error, FieldCode, Money,
    http_bodies::{CreateOrderBody, Field, Fields, LoginBody, Password},
};

/// Most of one product in one order.
pub const MAX_QUANTITY: u32 = 1000;

/// Reads the body of `POST /api/orders`. The error names every bad field, or for what is not JSON the line and
/// column.
///
/// ```
/// use waypost_api::http_bodies::parse_create_order;
/// let body = br#"{"user_id": "user123", "product_id": "prod456", "quantity": 2, "amount": 99.99}"#;
/// assert_eq!(parse_create_order(body)?.amount.ten_thousandths(), 999_900);
///
/// let error = parse_create_order(br#"{"quantity": -1, "amount": "free", "total": 0}"#).unwrap_err();
/// let pointers: Vec<_> = error.fields.iter().map(|field| field.pointer.as_str()).collect();
/// assert_eq!(pointers, ["/user_id", "/product_id", "/quantity", "/amount", "/total"]);
/// # Ok::<_, waypost_api::Error>(())
/// ```
pub fn parse_create_order(body: &[u8]) -> Result<CreateOrderBody, Error> {
    let mut fields = Fields::read(body)?;
    let user_id = fields.required("user_id", Field::parsed);
    let product_id = fields.required("product_id", Field::parsed);
    let quantity = fields.required("quantity", |field| field.count(1..=MAX_QUANTITY));
    let amount = fields.required("amount", Field::positive_amount);
    let order = (|| {
        Some(CreateOrderBody {
            user_id: user_id?,
            product_id: product_id?,
            quantity: quantity?,
            amount: Money::of(amount?, Currency::USD),
        })
    })();
    fields.finish(order)
}

/// Reads the body of `POST /api/login`. Errors as [`parse_create_order`]; none shows the password.
pub fn parse_login(body: &[u8]) -> Result<LoginBody, Error> {
    let mut fields = Fields::read(body)?;
    let user_id = fields.required("user_id", Field::parsed);
    let password = fields.required("password", |field| {
        let password = field.text()?;
        if password.is_empty() {
            return Err((FieldCode::TooSmall, "must not be empty".to_owned()));
        }
        if password.len() > Password::MAX_LENGTH {
            return Err((FieldCode::TooLarge, format!("must have at most {} bytes", Password::MAX_LENGTH)));
        }
        Ok(Password::new(password))
    });
    fields.finish(user_id.zip(password).map(|(user_id, password)| LoginBody { user_id, password }))
}

#[cfg(test)]
mod tests;
