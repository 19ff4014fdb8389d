//! Money: an exact decimal number of a currency's unit with four places, never a float.
//!
//! [`Amount`] is the number, [`Money`] the number with its currency. Arithmetic is checked: an overflow or a mix
//! of currencies is an error and not a wrong sum. The four places are one more than any currency's smallest coin
//! needs, because unit prices have them (49.995).
//!
//! JSON carries the number alone, with its currency in a field beside it. It is read exactly from a JSON number
//! or string; reading goes through the number's text, so it works with `serde_json::from_slice` and its kin, and
//! not out of a `serde_json::Value`, which holds a float already.

mod currency;
mod decimal;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};

pub use currency::Currency;

/// Why a text is not money, or two amounts do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a decimal number as JSON writes it.
    #[error("must be a decimal number like 99.99")]
    NotANumber,
    /// More than four decimals, none of them zero at the end.
    #[error("must have at most 4 decimals")]
    TooManyDecimals,
    /// Beyond 922,337,203,685,477.5807 in either direction.
    #[error("is too large")]
    OutOfRange,
    /// The currency is not three letters.
    #[error("currency must be three upper-case letters (ISO 4217)")]
    NotACurrency,
    /// Two amounts of different currencies were to be added or compared.
    #[error("{0} and {1} cannot be mixed")]
    CurrencyMismatch(Currency, Currency),
}

/// An exact decimal number with at most four decimals.
///
/// ```
/// use waypost_api::Amount;
/// let amount: Amount = "99.99".parse()?;
/// assert_eq!(amount.ten_thousandths(), 999_900);
/// assert_eq!(amount.to_string(), "99.99");
/// assert_eq!(serde_json::from_str::<Amount>("9.999e1").unwrap(), amount);
/// # Ok::<_, waypost_api::MoneyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount(0);

    /// Takes a number of ten-thousandths: 999,900 is 99.99.
    pub const fn from_ten_thousandths(ten_thousandths: i64) -> Self {
        Self(ten_thousandths)
    }

    /// The number of ten-thousandths.
    pub const fn ten_thousandths(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Amount {
    /// The shortest exact decimal: `99.99`, `12.5`, `7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(self.0 >= 0, "", &decimal::format_unsigned(self.0.unsigned_abs()))
    }
}

impl FromStr for Amount {
    type Err = MoneyError;

    /// Reads a number as JSON writes it, exponents included.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        decimal::parse(text).map(Self)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A raw value, because serde's number types with decimals are floats.
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(&raw).map_err(D::Error::custom)
    }
}

impl Amount {
    /// Reads a JSON number, or a JSON string that holds one.
    pub fn from_json(raw: &RawValue) -> Result<Self, MoneyError> {
        let json = raw.get();
        if !json.starts_with('"') {
            return json.parse();
        }
        let text: String = serde_json::from_str(json).map_err(|_| MoneyError::NotANumber)?;
        text.parse()
    }
}

impl utoipa::PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Number);
        let text = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,4})?$"));
        OneOfBuilder::new()
            .item(number)
            .item(text)
            .description(Some(
                "An exact decimal with at most 4 decimals, as a number or a string; answers have a number.",
            ))
            .examples([serde_json::json!(99.99)])
            .into()
    }
}

impl utoipa::ToSchema for Amount {}

/// An amount of a currency.
///
/// In JSON it is the number alone, read as US dollars: a body that has another currency carries it in a field of
/// its own, as [`crate::events::OrderEvent`] does.
///
/// ```
/// use waypost_api::{Currency, Money};
/// let price = Money::parse("49.995", Currency::USD)?;
/// assert_eq!(price.checked_mul(2)?.to_string(), "99.99");
/// # Ok::<_, waypost_api::MoneyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    amount: Amount,
    currency: Currency,
}

impl Money {
    /// Takes a number of ten-thousandths of a currency's unit: 999,900 is 99.99.
    pub const fn new(ten_thousandths: i64, currency: Currency) -> Self {
        Self { amount: Amount(ten_thousandths), currency }
    }

    /// Takes an amount of a currency.
    pub const fn of(amount: Amount, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing of a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// Reads a number as JSON writes it.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        Ok(Self::of(text.parse()?, currency))
    }

    /// The number without the currency.
    pub const fn amount(self) -> Amount {
        self.amount
    }

    /// The number of ten-thousandths.
    pub const fn ten_thousandths(self) -> i64 {
        self.amount.0
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// True when it is above zero.
    pub const fn is_positive(self) -> bool {
        self.amount.0 > 0
    }

    /// True when it is below zero.
    pub const fn is_negative(self) -> bool {
        self.amount.0 < 0
    }

    /// True when it is zero.
    pub const fn is_zero(self) -> bool {
        self.amount.0 == 0
    }

    /// The sum; an error on overflow or when the currencies differ.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.with(other, i64::checked_add)
    }

    /// The difference; an error on overflow or when the currencies differ.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.with(other, i64::checked_sub)
    }

    /// The product with a count; an error on overflow.
    pub fn checked_mul(self, count: u32) -> Result<Money, MoneyError> {
        let product = self.amount.0.checked_mul(i64::from(count)).ok_or(MoneyError::OutOfRange)?;
        Ok(Self::new(product, self.currency))
    }

    /// Which is more; an error when the currencies differ.
    pub fn checked_cmp(self, other: Money) -> Result<std::cmp::Ordering, MoneyError> {
        self.same_currency(other)?;
        Ok(self.amount.cmp(&other.amount))
    }

    fn with(self, other: Money, op: fn(i64, i64) -> Option<i64>) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        let result = op(self.amount.0, other.amount.0).ok_or(MoneyError::OutOfRange)?;
        Ok(Self::new(result, self.currency))
    }

    fn same_currency(self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            Ok(())
        } else {
            Err(MoneyError::CurrencyMismatch(self.currency, other.currency))
        }
    }
}

impl fmt::Display for Money {
    /// The number alone: `99.99`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.amount.fmt(f)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Money({} {})", self.amount, self.currency)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.amount.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(Amount::deserialize(deserializer)?, Currency::USD))
    }
}

impl utoipa::PartialSchema for Money {
    fn schema() -> RefOr<Schema> {
        Amount::schema()
    }
}

impl utoipa::ToSchema for Money {
    fn name() -> std::borrow::Cow<'static, str> {
        <Amount as utoipa::ToSchema>::name()
    }
}

#[cfg(test)]
mod tests;
