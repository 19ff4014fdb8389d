use proptest::prelude::*;

use super::*;
use crate::{Amount, ErrorCode};

const GOOD: [(&str, &str); 4] =
    [("user_id", r#""user123""#), ("product_id", r#""prod456""#), ("quantity", "2"), ("amount", "99.99")];

/// A good body with one member replaced; an empty replacement leaves the member out.
fn with(name: &str, json: &str) -> Vec<u8> {
    let members: Vec<_> = GOOD
        .iter()
        .map(|(member, good)| if *member == name { (member, json) } else { (member, *good) })
        .filter(|(_, json)| !json.is_empty())
        .map(|(member, json)| format!("\"{member}\": {json}"))
        .collect();
    format!("{{{}}}", members.join(", ")).into_bytes()
}

fn the_only_error(body: &[u8]) -> (String, FieldCode, String) {
    let error = parse_create_order(body).unwrap_err();
    assert_eq!(error.fields.len(), 1, "{error:?}");
    let field = error.fields.into_iter().next().unwrap();
    (field.pointer, field.code, field.detail)
}

#[test]
fn the_seeds_body_is_read() {
    let body = br#"{"user_id":"user123","product_id":"prod456","quantity":2,"amount":99.99}"#;
    let order = parse_create_order(body).unwrap();
    assert_eq!(order.user_id.as_str(), "user123");
    assert_eq!(order.quantity, 2);
    assert_eq!(order.amount, Money::new(999_900, Currency::USD));
}

#[test]
fn every_rule_of_every_field_names_the_field_and_the_rule() {
    use FieldCode::{BadFormat, Required, TooLarge, TooSmall, WrongType};
    for (name, json, code, detail) in [
        ("user_id", "", Required, "is required"),
        ("user_id", "7", WrongType, "must be a string, not a number"),
        ("user_id", "null", WrongType, "must be a string, not null"),
        ("user_id", r#""""#, BadFormat, "must not be empty"),
        ("user_id", r#""a b""#, BadFormat, "may only contain the characters A-Z a-z 0-9 _ . -"),
        ("user_id", r#""\ud800""#, BadFormat, "is not Unicode text"),
        ("product_id", "[]", WrongType, "must be a string, not an array"),
        ("quantity", "", Required, "is required"),
        ("quantity", r#""2""#, WrongType, "must be a whole number, not a string"),
        ("quantity", "true", WrongType, "must be a whole number, not true"),
        ("quantity", "{}", WrongType, "must be a whole number, not an object"),
        ("quantity", "0", TooSmall, "must be at least 1"),
        ("quantity", "-1", TooSmall, "must be at least 1"),
        ("quantity", "-1e400", TooSmall, "must be at least 1"),
        ("quantity", "1001", TooLarge, "must be at most 1000"),
        ("quantity", "4294967298", TooLarge, "must be at most 1000"),
        ("quantity", "1e400", TooLarge, "must be at most 1000"),
        ("quantity", "1.5", BadFormat, "must be a whole number"),
        ("quantity", "1e-9", BadFormat, "must be a whole number"),
        ("amount", "", Required, "is required"),
        ("amount", "null", WrongType, "must be a number or a string with a number, not null"),
        ("amount", "0", TooSmall, "must be above 0"),
        ("amount", "-99.99", TooSmall, "must be above 0"),
        ("amount", "99.99999", BadFormat, "must have at most 4 decimals"),
        ("amount", r#""99,99""#, BadFormat, "must be a decimal number like 99.99"),
        ("amount", "1e300", TooLarge, "is too large"),
    ] {
        assert_eq!(
            the_only_error(&with(name, json)),
            (format!("/{name}"), code, detail.to_owned()),
            "{name} {json}"
        );
    }
}

#[test]
fn a_whole_number_may_be_written_with_a_point() {
    assert_eq!(parse_create_order(&with("quantity", "2.0")).unwrap().quantity, 2);
    assert_eq!(parse_create_order(&with("quantity", "1e3")).unwrap().quantity, 1000);
}

#[test]
fn an_amount_is_exact_as_number_and_as_string() {
    for json in ["\"900719925474.0993\"", "900719925474.0993"] {
        let order = parse_create_order(&with("amount", json)).unwrap();
        assert_eq!(order.amount.ten_thousandths(), 9_007_199_254_740_993);
    }
}

#[test]
fn every_bad_field_is_named_at_once() {
    let body =
        br#"{"user_id": 1, "quantity": -5, "amount": "x", "role": "admin", "total": 0, "quantity": 2}"#;
    let error = parse_create_order(body).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    let named: Vec<_> = error.fields.iter().map(|field| (field.pointer.as_str(), field.code)).collect();
    assert_eq!(
        named,
        [
            ("/quantity", FieldCode::DuplicateField),
            ("/user_id", FieldCode::WrongType),
            ("/product_id", FieldCode::Required),
            ("/quantity", FieldCode::TooSmall),
            ("/amount", FieldCode::BadFormat),
            ("/role", FieldCode::UnknownField),
            ("/total", FieldCode::UnknownField),
        ]
    );
}

#[test]
fn an_unknown_field_alone_has_its_own_code_and_an_escaped_pointer() {
    let body = [br#"{"a/b~c": 1, "#.as_slice(), &with("", "")[1..]].concat();
    let error = parse_create_order(&body).unwrap_err();
    assert_eq!(error.code, ErrorCode::UnknownField);
    assert_eq!(error.detail, "/a~1b~0c does not exist");
}

#[test]
fn what_is_not_json_is_told_with_line_and_column() {
    for (body, detail) in [
        ("", "the body is empty"),
        (" \n", "the body is empty"),
        ("{\n  \"user_id\": \"user123\",\n  oops\n}", "key must be a string at line 3 column 3"),
        ("{\"user_id\": \"user123\"", "EOF while parsing an object at line 1 column 21"),
        ("{} {}", "trailing characters at line 1 column 4"),
        ("{\"amount\": 01}", "invalid number at line 1 column 13"),
        ("{\"amount\": NaN}", "expected value at line 1 column 12"),
        ("user_id=user123", "expected value at line 1 column 1"),
    ] {
        let error = parse_create_order(body.as_bytes()).unwrap_err();
        assert_eq!((error.code, error.detail.as_str()), (ErrorCode::MalformedJson, detail), "{body}");
    }
    let invalid_utf8 = parse_create_order(b"{\"user_id\": \"\xff\"}").unwrap_err();
    assert_eq!(invalid_utf8.code, ErrorCode::MalformedJson);
}

#[test]
fn json_that_is_not_an_object_is_refused() {
    for (body, kind) in [("[]", "an array"), ("\"x\"", "a string"), ("7", "a number"), ("null", "null")] {
        let (pointer, code, detail) = the_only_error(body.as_bytes());
        assert_eq!((pointer.as_str(), code), ("", FieldCode::WrongType));
        assert_eq!(detail, format!("must be an object, not {kind}"));
    }
}

#[test]
fn deep_nesting_and_many_members_are_refused_and_bounded() {
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(the_only_error(deep.as_bytes()).2, "is nested deeper than 32 levels");
    let brackets_in_a_string = with("user_id", &format!("\"{}\"", "[\\\"".repeat(40)));
    assert_eq!(the_only_error(&brackets_in_a_string).1, FieldCode::BadFormat);

    let members: Vec<_> = (0..5000).map(|number| format!("\"m{number}\": 1")).collect();
    let error = parse_create_order(format!("{{{}}}", members.join(",")).as_bytes()).unwrap_err();
    assert_eq!(error.fields[0].detail, "has more than 256 members");
    assert_eq!(error.fields.len(), 32);
}

#[test]
fn a_long_unknown_name_is_cut() {
    let body = format!("{{\"{}\": 1}}", "é".repeat(10_000));
    let error = parse_create_order(body.as_bytes()).unwrap_err();
    assert!(error.fields.iter().all(|field| field.pointer.len() <= 128));
}

#[test]
fn a_login_is_read_and_never_shows_its_password() {
    let login = parse_login(br#"{"user_id": "user123", "password": "waypost-demo"}"#).unwrap();
    assert_eq!(login.password.expose(), "waypost-demo");
    assert!(!format!("{login:?}").contains("demo"));

    let long = format!(r#"{{"user_id": "user123", "password": "{}"}}"#, "hunter2".repeat(50));
    for body in [r#"{"user_id": "", "password": "", "otp": "hunter2"}"#, &long] {
        let error = parse_login(body.as_bytes()).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

proptest! {
    #[test]
    fn no_body_makes_reading_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_create_order(&body);
    }

    #[test]
    fn a_body_that_we_write_is_one_that_we_read(
        user_id in "[A-Za-z0-9_-]{1,64}",
        product_id in "[A-Za-z0-9_-]{1,64}",
        quantity in 1..=MAX_QUANTITY,
        ten_thousandths in 1..i64::MAX,
    ) {
        let order = CreateOrderBody {
            user_id: user_id.parse().unwrap(),
            product_id: product_id.parse().unwrap(),
            quantity,
            amount: Money::of(Amount::from_ten_thousandths(ten_thousandths), Currency::USD),
        };
        let json = serde_json::to_vec(&order).unwrap();
        prop_assert_eq!(parse_create_order(&json).unwrap(), order);
    }
}
