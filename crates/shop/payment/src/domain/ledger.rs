//! The books: what was taken and given back, as double entries. Append-only.

use waypost_api::Money;

/// Where money is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// What the provider owes us.
    ProviderReceivable,
    /// What was sold.
    Sales,
}

impl Account {
    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProviderReceivable => "provider_receivable",
            Self::Sales => "sales",
        }
    }
}

/// One half of a posting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which account.
    pub account: Account,
    /// Ten-thousandths on its left side.
    pub debit: i64,
    /// Ten-thousandths on its right side.
    pub credit: i64,
}

/// Money that moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posting {
    /// Taken from the customer.
    Capture(Money),
    /// Given back.
    Refund(Money),
}

impl Posting {
    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Capture(_) => "capture",
            Self::Refund(_) => "refund",
        }
    }

    /// How much moved.
    pub const fn amount(self) -> Money {
        match self {
            Self::Capture(amount) | Self::Refund(amount) => amount,
        }
    }

    /// I9: two entries that balance.
    pub const fn entries(self) -> [Entry; 2] {
        let amount = self.amount().ten_thousandths();
        let (debited, credited) = match self {
            Self::Capture(_) => (Account::ProviderReceivable, Account::Sales),
            Self::Refund(_) => (Account::Sales, Account::ProviderReceivable),
        };
        [
            Entry { account: debited, debit: amount, credit: 0 },
            Entry { account: credited, debit: 0, credit: amount },
        ]
    }
}

/// Sums over all payments of one currency, to be compared with the provider's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Payments that have a charge which was not declined.
    pub charges: i64,
    /// Sum of what payments say was taken.
    pub captured: i64,
    /// Sum of what payments say was given back.
    pub refunded: i64,
    /// Sum of all debits.
    pub debits: i64,
    /// Sum of all credits.
    pub credits: i64,
    /// Net balance of the receivable account.
    pub receivable: i64,
    /// Orders whose debits and credits differ.
    pub unbalanced_orders: i64,
}

impl Totals {
    /// I9: debits equal credits, per order and in total, and the books say what the payments say.
    pub fn balance(&self) -> bool {
        self.unbalanced_orders == 0
            && self.debits == self.credits
            && self.receivable == self.captured - self.refunded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_api::Currency;

    #[test]
    fn every_posting_balances() {
        let amount = Money::new(999_900, Currency::USD);
        for posting in [Posting::Capture(amount), Posting::Refund(amount)] {
            let [one, other] = posting.entries();
            assert_eq!(one.debit + other.debit, one.credit + other.credit);
            assert_ne!(one.account, other.account);
        }
    }
}
