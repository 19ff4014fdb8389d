//! The demo products.

use crate::domain::NewProduct;
use waypost_api::{Currency, Money, ProductId};

/// Id, name, price in ten-thousandths of a dollar, pieces in stock.
const PRODUCTS: [(&str, &str, i64, u32); 4] = [
    ("prod456", "Trail backpack", 499_950, 1_000_000),
    ("prod789", "Water bottle", 125_000, 1_000_000),
    ("prod-scarce", "Signed map", 199_900, 5),
    ("prod-soldout", "First edition compass", 890_000, 0),
];

/// The demo products with their first receipt of stock.
pub(crate) fn products() -> Vec<NewProduct> {
    let product = |(id, name, price, pieces): (&str, &str, i64, u32)| {
        Some(NewProduct {
            id: ProductId::parse(id).ok()?,
            name: name.to_owned(),
            unit_price: Money::new(price, Currency::USD),
            received: pieces,
        })
    };
    PRODUCTS.into_iter().filter_map(product).collect()
}
