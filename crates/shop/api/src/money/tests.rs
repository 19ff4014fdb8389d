use proptest::prelude::*;

use super::*;

fn usd(text: &str) -> Result<Money, MoneyError> {
    Money::parse(text, Currency::USD)
}

fn from_json(json: &str) -> Result<Amount, String> {
    serde_json::from_str::<Amount>(json).map_err(|error| error.to_string())
}

#[test]
fn the_seeds_amount_is_exact() {
    let amount = from_json("99.99").unwrap();
    assert_eq!(amount.ten_thousandths(), 999_900);
    assert_eq!(usd("49.995").unwrap().checked_mul(2), usd("99.99"));
}

#[test]
fn a_number_is_written_with_its_shortest_decimals() {
    for (ten_thousandths, text) in [
        (999_900, "99.99"),
        (0, "0"),
        (1, "0.0001"),
        (-1, "-0.0001"),
        (125_000, "12.5"),
        (70_000, "7"),
        (i64::MAX, "922337203685477.5807"),
        (i64::MIN, "-922337203685477.5808"),
    ] {
        let amount = Amount::from_ten_thousandths(ten_thousandths);
        assert_eq!(amount.to_string(), text);
        assert_eq!(serde_json::to_string(&amount).unwrap(), text);
        assert_eq!(text.parse(), Ok(amount));
    }
}

#[test]
fn a_string_and_an_exponent_are_read_exactly() {
    for json in ["\"99.99\"", "99.9900", "9.999e1", "9999E-2", "0.009999e+4", "\"99.99000000\""] {
        assert_eq!(from_json(json).unwrap().ten_thousandths(), 999_900, "{json}");
    }
    for json in ["0", "-0", "0.0", "0e999999999999", "\"-0.00\""] {
        assert_eq!(from_json(json).unwrap(), Amount::ZERO, "{json}");
    }
}

#[test]
fn a_number_that_a_float_cannot_hold_is_read_exactly() {
    assert_eq!(from_json("900719925474.0993").unwrap().ten_thousandths(), 9_007_199_254_740_993);
    assert_eq!(from_json("922337203685477.5807").unwrap().ten_thousandths(), i64::MAX);
}

#[test]
fn what_is_not_exact_money_says_why() {
    for text in ["99.99999", "0.00001", "1e-5", "1.5e-4", "1e-999999999999"] {
        assert_eq!(text.parse::<Amount>(), Err(MoneyError::TooManyDecimals), "{text}");
    }
    for text in ["922337203685477.5808", "-922337203685477.5809", "1e15", "1e400", "1e999999999999"] {
        assert_eq!(text.parse::<Amount>(), Err(MoneyError::OutOfRange), "{text}");
    }
    let long = "1".repeat(65);
    assert_eq!(long.parse::<Amount>(), Err(MoneyError::OutOfRange));
    for text in
        ["", " 1", "1 ", "+1", ".5", "1.", "01", "-", "1e", "1e+", "1.2.3", "NaN", "0x1", "1_0", "١", "--1"]
    {
        assert_eq!(text.parse::<Amount>(), Err(MoneyError::NotANumber), "{text:?}");
    }
    for json in ["true", "null", "[]", "{}", "\"\"", "\"99,99\"", "\"\\ud800\""] {
        assert!(from_json(json).unwrap_err().contains("must be a decimal number"), "{json}");
    }
}

#[test]
fn arithmetic_never_gives_a_wrong_sum() {
    let max = Money::new(i64::MAX, Currency::USD);
    assert_eq!(max.checked_add(Money::new(1, Currency::USD)), Err(MoneyError::OutOfRange));
    assert_eq!(max.checked_mul(2), Err(MoneyError::OutOfRange));
    assert_eq!(Money::new(i64::MIN, Currency::USD).checked_sub(max), Err(MoneyError::OutOfRange));

    let euro: Currency = "EUR".parse().unwrap();
    let mixed = Err(MoneyError::CurrencyMismatch(Currency::USD, euro));
    assert_eq!(max.checked_add(Money::zero(euro)), mixed);
    assert!(max.checked_cmp(Money::zero(euro)).is_err());
}

#[test]
fn a_currency_is_three_upper_case_letters() {
    assert_eq!("EUR".parse::<Currency>().unwrap().to_string(), "EUR");
    for text in ["", "eur", "EURO", "E R", "€UR", "US"] {
        assert_eq!(text.parse::<Currency>(), Err(MoneyError::NotACurrency), "{text}");
    }
}

/// The oracle: a decimal of unbounded size, by hand. Gives the ten-thousandths as text, or nothing when there are
/// more than four decimals.
fn big_decimal(negative: bool, whole: &str, fraction: &str, exponent: i32) -> Option<String> {
    const ROOM: usize = 30;
    let zeros = "0".repeat(ROOM);
    let digits = format!("{zeros}{whole}{fraction}{zeros}");
    let point = ROOM.checked_add_signed(exponent as isize).unwrap() + whole.len() + 4;
    let (kept, lost) = digits.split_at(point);
    if lost.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let kept = kept.trim_start_matches('0');
    Some(match (kept, negative) {
        ("", _) => "0".to_owned(),
        (kept, true) => format!("-{kept}"),
        (kept, false) => kept.to_owned(),
    })
}

proptest! {
    #[test]
    fn every_amount_survives_text_and_json(ten_thousandths in any::<i64>()) {
        let amount = Amount::from_ten_thousandths(ten_thousandths);
        prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        let json = serde_json::to_string(&amount).unwrap();
        prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
        let quoted = format!("\"{json}\"");
        prop_assert_eq!(serde_json::from_str::<Amount>(&quoted).unwrap(), amount);
    }

    #[test]
    fn reading_agrees_with_a_decimal_of_unbounded_size(
        negative in any::<bool>(),
        whole in "0|[1-9][0-9]{0,18}",
        fraction in "([0-9]{1,8}0{0,4})?",
        exponent in prop::option::of(-12_i32..12),
    ) {
        let mut text = format!("{}{whole}", if negative { "-" } else { "" });
        if !fraction.is_empty() {
            text = format!("{text}.{fraction}");
        }
        if let Some(exponent) = exponent {
            text = format!("{text}e{exponent}");
        }
        let expected = big_decimal(negative, &whole, &fraction, exponent.unwrap_or(0));
        match (text.parse::<Amount>(), expected) {
            (Ok(amount), Some(expected)) => prop_assert_eq!(amount.ten_thousandths().to_string(), expected),
            (Err(MoneyError::TooManyDecimals), None) => {}
            (Err(MoneyError::OutOfRange), Some(expected)) => prop_assert!(expected.parse::<i64>().is_err()),
            (read, expected) => prop_assert!(false, "{} read as {:?}, oracle {:?}", text, read, expected),
        }
    }

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,80}") {
        let _ = text.parse::<Amount>();
    }

    #[test]
    fn sums_and_products_are_those_of_wider_numbers(a in any::<i64>(), b in any::<i64>(), count in any::<u32>()) {
        let (left, right) = (Money::new(a, Currency::USD), Money::new(b, Currency::USD));
        let narrow = |wide: i128| i64::try_from(wide).map_err(|_| MoneyError::OutOfRange);
        let number = |money: Result<Money, MoneyError>| money.map(Money::ten_thousandths);
        prop_assert_eq!(number(left.checked_add(right)), narrow(i128::from(a) + i128::from(b)));
        prop_assert_eq!(number(left.checked_sub(right)), narrow(i128::from(a) - i128::from(b)));
        prop_assert_eq!(number(left.checked_mul(count)), narrow(i128::from(a) * i128::from(count)));
    }
}
