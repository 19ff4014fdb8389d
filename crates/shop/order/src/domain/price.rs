//! What an order costs.

use waypost_api::{Error, ErrorCode, FieldCode, FieldError, Money};

/// Checks the total that a client expects against the catalogue's price. A client is not trusted with money: its
/// number must be exactly ours.
pub fn check_amount(unit_price: Money, quantity: u32, expected: Money) -> Result<(), Error> {
    let total = unit_price.checked_mul(quantity).map_err(|_| {
        let field = FieldError::new("/quantity", FieldCode::TooLarge, "makes the total too large");
        Error::invalid_fields(vec![field])
    })?;
    if total == expected {
        return Ok(());
    }
    let detail = format!(
        "{quantity} times {unit_price} {} is {total} {}, not {expected} {}",
        unit_price.currency(),
        total.currency(),
        expected.currency()
    );
    let field =
        FieldError::new("/amount", FieldCode::Invalid, format!("must be {total} {}", total.currency()));
    Err(Error::new(ErrorCode::AmountMismatch, detail).with_field(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_api::Currency;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    #[test]
    fn the_seeds_amount_is_right_to_the_last_digit() {
        assert_eq!(check_amount(usd("49.995"), 2, usd("99.99")), Ok(()));
    }

    #[test]
    fn another_amount_is_refused_and_told_the_right_one() {
        let refused = check_amount(usd("49.995"), 2, usd("99.9899")).unwrap_err();
        assert_eq!(refused.code, ErrorCode::AmountMismatch);
        assert_eq!(refused.detail, "2 times 49.995 USD is 99.99 USD, not 99.9899 USD");
        assert_eq!(refused.fields[0].pointer, "/amount");
    }

    #[test]
    fn another_currency_is_another_amount() {
        let euros = Money::parse("99.99", "EUR".parse().unwrap()).unwrap();
        let refused = check_amount(usd("49.995"), 2, euros).unwrap_err();
        assert_eq!(refused.code, ErrorCode::AmountMismatch);
    }

    #[test]
    fn a_total_beyond_what_can_be_counted_is_a_bad_quantity() {
        let refused = check_amount(Money::new(i64::MAX, Currency::USD), 2, usd("1")).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest);
    }
}
