//! What became of an order's money, as far as the order service knows. What a customer is told about it follows from
//! here and from nowhere else ([`Charge::told`]).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whether an order's money was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// It was never asked for; at most it was set aside for a while.
    #[default]
    None,
    /// It was asked for, and whether it was taken is not known.
    Open,
    /// It was taken.
    Captured,
    /// It was taken and given back in full.
    Refunded,
}

impl Charge {
    /// Every value.
    pub const ALL: [Charge; 4] = [Self::None, Self::Open, Self::Captured, Self::Refunded];

    /// The name in messages and rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Open => "open",
            Self::Captured => "captured",
            Self::Refunded => "refunded",
        }
    }

    /// What is told to the customer of an order that came to nothing, without a full stop. Such an order is settled
    /// only once everything that was begun for it is undone.
    pub const fn told(self) -> &'static str {
        match self {
            Self::None => "nothing was charged",
            Self::Open => "whatever was charged has been given back in full",
            Self::Captured | Self::Refunded => "the payment was taken and has been given back in full",
        }
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not the name of a [`Charge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not say what became of the money")]
pub struct UnknownCharge;

impl FromStr for Charge {
    type Err = UnknownCharge;

    fn from_str(text: &str) -> Result<Self, UnknownCharge> {
        Self::ALL.into_iter().find(|charge| charge.as_str() == text).ok_or(UnknownCharge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_one_name_in_text_and_json() {
        for charge in Charge::ALL {
            assert_eq!(charge.as_str().parse(), Ok(charge));
            assert_eq!(serde_json::to_value(charge).unwrap(), charge.as_str());
        }
        assert_eq!("lost".parse::<Charge>(), Err(UnknownCharge));
    }

    #[test]
    fn only_what_was_never_asked_for_is_told_as_not_charged() {
        for charge in Charge::ALL {
            assert_eq!(charge.told().contains("nothing was charged"), charge == Charge::None, "{charge}");
        }
    }
}
