//! Identifiers, one type per kind, so that a product's id cannot be passed where a user's is due.
//!
//! Invariant: an id is 1 to 64 characters of `A-Z a-z 0-9 _ . -`, and not dots alone (a path segment `..`
//! means something else to an HTTP client). So an id needs no escaping in a URL, a log line or a metric.
//! Ids of our own making are UUIDv7, which sort by age; the UUID is handed in, because this crate has no clock.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use waypost_telemetry::opentelemetry::Value;

const MAX_LENGTH: usize = 64;
const PATTERN: &str = "^[A-Za-z0-9_.-]{1,64}$";

/// A text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text is longer than 64 characters.
    #[error("must have at most 64 characters")]
    TooLong,
    /// The text has a character that is not allowed.
    #[error("may only contain the characters A-Z a-z 0-9 _ . -")]
    BadCharacter,
    /// The text has dots only.
    #[error("must not consist of dots alone")]
    OnlyDots,
}

fn check(text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    // The characters come first, so that the length is counted in characters and not in bytes.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
        return Err(InvalidId::BadCharacter);
    }
    if text.len() > MAX_LENGTH {
        return Err(InvalidId::TooLong);
    }
    if text.bytes().all(|byte| byte == b'.') {
        return Err(InvalidId::OnlyDots);
    }
    Ok(())
}

fn schema(description: &str, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(PATTERN))
        .min_length(Some(1))
        .max_length(Some(MAX_LENGTH))
        .examples([example])
        .into()
}

macro_rules! id {
    ($(#[doc = $doc:literal])* $name:ident, $example:literal) => {
        $(#[doc = $doc])*
        ///
        /// Cheap to clone. See the module for which texts are valid.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text and takes it as an id.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                check(&text)?;
                Ok(Self(text.into()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl From<&$name> for String {
            fn from(id: &$name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        /// Shares the text, so an attribute costs no copy.
        impl From<&$name> for Value {
            fn from(id: &$name) -> Value {
                Value::from(Arc::clone(&id.0))
            }
        }

        impl From<$name> for Value {
            fn from(id: $name) -> Value {
                Value::from(id.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(D::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema(concat!($($doc),*), $example)
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

macro_rules! id_of_ours {
    ($($name:ident),* $(,)?) => {
        $(
            impl $name {
                /// Makes an id of a UUIDv7, so that ids sort by age.
                pub fn new(uuid: uuid::Uuid) -> Self {
                    let mut buffer = uuid::Uuid::encode_buffer();
                    Self((&*uuid.hyphenated().encode_lower(&mut buffer)).into())
                }
            }
        )*
    };
}

id!(
    /// An order.
    OrderId,
    "0199c3f4-7e11-7a52-9d51-3f0a3c1f6b7e"
);
id!(
    /// A user.
    UserId,
    "user123"
);
id!(
    /// A product of the catalogue.
    ProductId,
    "prod456"
);
id!(
    /// A payment of ours.
    PaymentId,
    "0199c3f4-7e2b-7c03-8a1e-52f1f0b8d9aa"
);
id!(
    /// A hold on stock.
    ReservationId,
    "0199c3f4-7e1d-7be0-b0f2-9f8f52a1c377"
);
id!(
    /// A charge, as the payment provider calls it.
    TransactionId,
    "ch_0199c3f47e307d12a5b6"
);
id!(
    /// An event.
    EventId,
    "0199c3f4-7e40-7f6f-9b0d-0d2a8c7e4f11"
);
id!(
    /// A tenant.
    TenantId,
    "acme"
);

id_of_ours!(OrderId, PaymentId, ReservationId, TransactionId, EventId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_ids_are_valid() {
        assert_eq!(UserId::parse("user123").unwrap().as_str(), "user123");
        assert_eq!(ProductId::parse("prod456").unwrap().to_string(), "prod456");
    }

    #[test]
    fn a_text_that_is_not_an_id_says_why() {
        assert_eq!(UserId::parse(""), Err(InvalidId::Empty));
        assert_eq!(UserId::parse(".."), Err(InvalidId::OnlyDots));
        assert_eq!(UserId::parse(&"a".repeat(65)), Err(InvalidId::TooLong));
        assert!(UserId::parse(&"a".repeat(64)).is_ok());
        for text in ["a b", "a/b", "a\n", "ü", "a\0", "a'--", "💶"] {
            assert_eq!(UserId::parse(text), Err(InvalidId::BadCharacter), "{text:?}");
        }
    }

    #[test]
    fn an_order_id_is_the_uuid_it_was_given_and_sorts_by_age() {
        let older = OrderId::new(uuid::Uuid::from_u128(0x0199_c3f4_7e11_7a52_9d51_3f0a_3c1f_6b7e));
        let newer = OrderId::new(uuid::Uuid::from_u128(0x0199_c3f4_7e12_7000_8000_0000_0000_0000));
        assert_eq!(older.as_str(), "0199c3f4-7e11-7a52-9d51-3f0a3c1f6b7e");
        assert!(older < newer);
    }

    #[test]
    fn an_invalid_id_in_json_is_refused() {
        assert!(serde_json::from_str::<UserId>(r#""user 123""#).is_err());
        let user: UserId = serde_json::from_str(r#""user123""#).unwrap();
        assert_eq!(serde_json::to_string(&user).unwrap(), r#""user123""#);
    }

    #[test]
    fn an_id_is_an_attribute_value() {
        let user = UserId::parse("user123").unwrap();
        assert_eq!(Value::from(&user), Value::from("user123"));
    }
}
