//! Products and their stock.

use super::{Line, Refusal};
use waypost_api::{Money, ProductId};

/// A product as the catalogue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// What it is called.
    pub name: String,
    /// Price of one.
    pub unit_price: Money,
    /// On hand less what is held.
    pub available: u64,
}

/// A product that enters the catalogue, with its first receipt of stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduct {
    /// Its id.
    pub id: ProductId,
    /// What it is called.
    pub name: String,
    /// Price of one; positive.
    pub unit_price: Money,
    /// Pieces received.
    pub received: u32,
}

/// A line must have been calculated with the price of the day.
pub fn check_price(line: &Line, price: Money) -> Result<(), Refusal> {
    match line.unit_price {
        Some(expected) if expected != price => Err(Refusal::PriceChanged(line.product.clone())),
        _ => Ok(()),
    }
}

/// Why a line that found no stock is refused, by what is known of its product.
pub fn refuse(line: &Line, product: Option<&Product>) -> Refusal {
    let Some(product) = product else { return Refusal::UnknownProduct(line.product.clone()) };
    match check_price(line, product.unit_price) {
        Err(refusal) => refusal,
        Ok(()) => Refusal::OutOfStock {
            product: line.product.clone(),
            asked: line.quantity,
            available: product.available,
        },
    }
}

/// The stock of one product, counted in every way there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockCount {
    /// Which product.
    pub product: ProductId,
    /// What the shelf says.
    pub on_hand: i64,
    /// What the shelf says is set aside.
    pub reserved: i64,
    /// Sum of the receipts in the ledger.
    pub received: i64,
    /// Sum of the commits in the ledger.
    pub committed: i64,
    /// Sum of the lines of held reservations.
    pub held_by_reservations: i64,
    /// Sum of the lines of committed reservations.
    pub committed_by_reservations: i64,
}

impl StockCount {
    /// I11: all ways of counting agree, and nothing is set aside that is not there.
    pub fn adds_up(&self) -> bool {
        (0..=self.on_hand).contains(&self.reserved)
            && self.on_hand == self.received - self.committed
            && self.reserved == self.held_by_reservations
            && self.committed == self.committed_by_reservations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_api::Currency;

    const PRICE: Money = Money::new(499_950, Currency::USD);

    fn line(quantity: u32, unit_price: Option<Money>) -> Line {
        Line { product: ProductId::parse("prod456").unwrap(), quantity, unit_price }
    }

    fn product(available: u64) -> Product {
        Product {
            id: ProductId::parse("prod456").unwrap(),
            name: "Trail backpack".to_owned(),
            unit_price: PRICE,
            available,
        }
    }

    #[test]
    fn a_line_without_stock_is_told_why() {
        let refused = refuse(&line(6, None), Some(&product(5)));
        assert_eq!(refused.to_string(), "6 of prod456 were asked for, 5 are left");
        assert!(matches!(
            refuse(&line(6, Some(Money::new(1, Currency::USD))), Some(&product(5))),
            Refusal::PriceChanged(_)
        ));
        assert!(matches!(refuse(&line(6, None), None), Refusal::UnknownProduct(_)));
    }

    #[test]
    fn another_price_than_the_orders_is_refused() {
        assert_eq!(check_price(&line(1, None), PRICE), Ok(()));
        assert_eq!(check_price(&line(1, Some(PRICE)), PRICE), Ok(()));
        for other in [Money::new(499_949, Currency::USD), Money::new(499_950, "EUR".parse().unwrap())] {
            assert!(check_price(&line(1, Some(other)), PRICE).is_err(), "{other}");
        }
    }

    #[test]
    fn a_count_that_differs_in_one_place_does_not_add_up() {
        let right = StockCount {
            product: ProductId::parse("prod456").unwrap(),
            on_hand: 7,
            reserved: 2,
            received: 10,
            committed: 3,
            held_by_reservations: 2,
            committed_by_reservations: 3,
        };
        assert!(right.adds_up());
        assert!(!StockCount { on_hand: 8, ..right.clone() }.adds_up());
        assert!(!StockCount { reserved: 1, ..right.clone() }.adds_up());
        assert!(!StockCount { reserved: 8, held_by_reservations: 8, ..right.clone() }.adds_up());
        assert!(!StockCount { committed_by_reservations: 2, ..right }.adds_up());
    }
}
