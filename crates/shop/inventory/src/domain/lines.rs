//! What an order wants: so many of each product.

use waypost_api::{FieldCode, FieldError, Money, ProductId};

/// So many of one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub product: ProductId,
    /// How many; positive.
    pub quantity: u32,
    /// The price that the order was calculated with; `None` when it is not to be checked.
    pub unit_price: Option<Money>,
}

/// The lines of a reservation: 1 to 100, sorted by product, no product twice, no more than a million pieces each.
///
/// Sorted, so that two orders take their rows in the same order on a database with row locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// Most lines of one reservation.
    pub const MAX: usize = 100;
    /// Most pieces of one line.
    pub const MAX_PIECES: u32 = 1_000_000;

    /// Checks and sorts; the error names every bad field.
    pub fn new(mut lines: Vec<Line>) -> Result<Lines, Vec<FieldError>> {
        let wrong = |pointer: String, code, detail: String| FieldError::new(pointer, code, detail);
        if lines.is_empty() {
            return Err(vec![wrong(
                "/lines".into(),
                FieldCode::Required,
                "must have at least one line".into(),
            )]);
        }
        if lines.len() > Self::MAX {
            let detail = format!("must have at most {} lines", Self::MAX);
            return Err(vec![wrong("/lines".into(), FieldCode::TooLarge, detail)]);
        }
        let mut problems = Vec::new();
        for (position, line) in lines.iter().enumerate() {
            let field = |name: &str| format!("/lines/{position}/{name}");
            if line.quantity == 0 {
                problems.push(wrong(field("quantity"), FieldCode::TooSmall, "must be at least 1".into()));
            }
            if line.quantity > Self::MAX_PIECES {
                let detail = format!("must be at most {}", Self::MAX_PIECES);
                problems.push(wrong(field("quantity"), FieldCode::TooLarge, detail));
            }
            if line.unit_price.is_some_and(|price| price.ten_thousandths() < 0) {
                problems.push(wrong(field("unit_price"), FieldCode::TooSmall, "must not be negative".into()));
            }
            if lines.iter().take(position).any(|earlier| earlier.product == line.product) {
                problems.push(wrong(field("product_id"), FieldCode::Invalid, "names a product twice".into()));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        lines.sort_by(|one, other| one.product.cmp(&other.product));
        Ok(Lines(lines))
    }

    /// In the order of their products.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.0.iter()
    }

    /// Whether these are the lines of a stored hold, which are sorted as well.
    pub fn are_held_as(&self, held: &[HeldLine]) -> bool {
        self.0.len() == held.len()
            && self
                .0
                .iter()
                .zip(held)
                .all(|(wanted, held)| (&wanted.product, wanted.quantity) == (&held.product, held.quantity))
    }

    /// As the hold keeps them.
    pub fn to_held(&self) -> Vec<HeldLine> {
        let held = |line: &Line| HeldLine { product: line.product.clone(), quantity: line.quantity };
        self.0.iter().map(held).collect()
    }
}

/// A line of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLine {
    /// Which product.
    pub product: ProductId,
    /// How many.
    pub quantity: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_api::Currency;

    fn line(product: &str, quantity: u32) -> Line {
        Line { product: ProductId::parse(product).unwrap(), quantity, unit_price: None }
    }

    #[test]
    fn lines_are_sorted_by_product() {
        let lines = Lines::new(vec![line("b", 1), line("a", 2)]).unwrap();
        let products: Vec<_> = lines.iter().map(|line| line.product.as_str()).collect();
        assert_eq!(products, ["a", "b"]);
        assert!(lines.are_held_as(&lines.to_held()));
        assert!(!lines.are_held_as(&Lines::new(vec![line("a", 2)]).unwrap().to_held()));
    }

    #[test]
    fn every_bad_line_is_named() {
        let mut priced = line("d", 1);
        priced.unit_price = Some(Money::new(-1, Currency::USD));
        let problems =
            Lines::new(vec![line("a", 0), line("b", 1_000_001), line("c", 1), line("c", 1), priced])
                .unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|field| field.pointer.as_str()).collect();
        let expected =
            ["/lines/0/quantity", "/lines/1/quantity", "/lines/3/product_id", "/lines/4/unit_price"];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn no_line_and_too_many_lines_are_refused() {
        assert_eq!(Lines::new(Vec::new()).unwrap_err()[0].pointer, "/lines");
        let many = (0..=Lines::MAX).map(|number| line(&format!("p{number}"), 1)).collect();
        assert_eq!(Lines::new(many).unwrap_err()[0].code, FieldCode::TooLarge);
    }
}
