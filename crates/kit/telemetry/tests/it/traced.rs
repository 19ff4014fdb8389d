//! `#[traced]` functions and the spans they leave.

use std::fmt;

use waypost_telemetry::error::{Classification, ErrorClass};
use waypost_telemetry::testing::TestTelemetry;
use waypost_telemetry::{set, span, traced, with_context};

#[derive(Debug)]
struct Declined(u32);

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "declined with {}", self.0)
    }
}

fn class_of(declined: &Declined) -> Classification {
    if declined.0 == 0 {
        Classification::no_failure()
    } else {
        Classification::new("declined").class(ErrorClass::Refused)
    }
}

type Answer = Result<u32, std::io::Error>;

struct Shop {
    opened: u32,
}

impl Shop {
    #[traced(name = "place-order", kind = "server", fields(order.id = id, items = items.len(), ?first = items.first()))]
    async fn place(&mut self, id: u64, items: &[&str]) -> Result<u32, std::io::Error> {
        self.opened += 1;
        let price = price(items, "secret").await?;
        set("price", price);
        if price > 3 {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        Ok(price)
    }

    #[traced]
    fn first<'a>(&self, items: &'a [&'a str]) -> Option<&'a str> {
        items.first().copied().filter(|_| self.opened > 0)
    }
}

#[traced(args, skip(password), err)]
async fn price(items: &[&str], password: &str) -> Answer {
    span("look up").observe(async {}).await;
    let first = items.first().ok_or(std::io::ErrorKind::NotFound)?;
    Ok(u32::try_from(first.len() + password.len()).unwrap_or(u32::MAX) - 6)
}

#[traced(err)]
fn parse(text: &str) -> Answer {
    text.parse().map_err(std::io::Error::other)
}

#[traced(err = class_of, kind = "client")]
async fn charge(code: u32) -> Result<(), Declined> {
    Err(Declined(code))
}

#[traced(err = class_of)]
fn charge_now(code: u32) -> Result<(), Declined> {
    Err(Declined(code))
}

#[traced(err = false)]
async fn careless() -> Result<(), Declined> {
    Err(Declined(9))
}

#[traced]
fn numbers(below: u8) -> impl Iterator<Item = u8> {
    0..below
}

#[traced(name = "boxed-work")]
fn boxed(n: u8) -> std::pin::Pin<Box<dyn Future<Output = Result<u8, std::io::Error>> + Send>> {
    Box::pin(async move {
        span("inside").observe(async {}).await;
        if n > 0 { Ok(n) } else { Err(std::io::Error::other("none")) }
    })
}

async fn run<F: Future>(work: F) -> (TestTelemetry, F::Output) {
    let telemetry = TestTelemetry::new("s");
    let output = with_context(telemetry.context(), work).await;
    (telemetry, output)
}

#[tokio::test]
async fn a_method_leaves_a_span_with_its_fields_and_outcome() {
    let mut shop = Shop { opened: 0 };
    let (telemetry, placed) = run(shop.place(7, &["tea"])).await;
    assert_eq!(placed.unwrap(), 3);
    telemetry.tree().assert_matches(
        r#"place-order SERVER s order.id=7 items=1 first="Some(\"tea\")" price=3
             price INTERNAL s
               look up INTERNAL s"#,
    );
    let price = telemetry.only_span("price");
    assert_eq!(price.attribute("items").unwrap().as_str(), r#"["tea"]"#);
    assert!(price.attribute("password").is_none());
    assert_eq!(shop.opened, 1);
}

#[tokio::test]
async fn early_returns_and_question_marks_decide_the_outcome() {
    let mut shop = Shop { opened: 0 };
    let (telemetry, placed) = run(shop.place(7, &["coffee"])).await;
    assert!(placed.is_err());
    telemetry.tree().assert_matches(
        "place-order SERVER s ERROR error.type=invalid_input
           price INTERNAL s
             ...",
    );
    let (telemetry, placed) = run(shop.place(7, &[])).await;
    assert!(placed.is_err());
    telemetry.tree().assert_matches(
        "place-order SERVER s ERROR error.type=not_found
           price INTERNAL s ERROR error.type=not_found
             ...",
    );
}

#[tokio::test]
async fn a_function_without_async_leaves_a_span_too() {
    let (telemetry, first) = run(async { Shop { opened: 1 }.first(&["tea"]).map(str::to_owned) }).await;
    assert_eq!(first.as_deref(), Some("tea"));
    telemetry.tree().assert_matches("first INTERNAL s");
    let (telemetry, parsed) = run(async { parse("x") }).await;
    assert!(parsed.is_err());
    telemetry.tree().assert_matches("parse INTERNAL s ERROR error.type=other");
    let (telemetry, sum) = run(async { numbers(4).sum::<u8>() }).await;
    assert_eq!(sum, 6);
    telemetry.tree().assert_matches("numbers INTERNAL s");
}

#[tokio::test]
async fn a_function_says_what_kind_of_failure_it_is() {
    let (telemetry, _) = run(charge(51)).await;
    telemetry.tree().assert_matches("charge CLIENT s ERROR error.type=declined");
    assert_eq!(telemetry.finished_logs()[0].body(), "declined with 51");
    let (telemetry, _) = run(charge(0)).await;
    telemetry.tree().assert_matches("charge CLIENT s");
    assert!(telemetry.finished_logs().is_empty());
    let (telemetry, _) = run(async { charge_now(51) }).await;
    telemetry.tree().assert_matches("charge_now INTERNAL s ERROR error.type=declined");
    let (telemetry, _) = run(careless()).await;
    telemetry.tree().assert_matches("careless INTERNAL s");
    assert!(!telemetry.only_span("careless").is_error());
}

#[tokio::test]
async fn a_boxed_future_is_inside_its_span() {
    let (telemetry, _) = run(async { boxed(0).await }).await;
    telemetry.tree().assert_matches("boxed-work INTERNAL s ERROR error.type=other\n  inside INTERNAL s");
}

#[test]
fn a_traced_function_has_the_scope_of_its_crate() {
    let telemetry = TestTelemetry::new("s");
    let _attached = telemetry.context().attach();
    parse("7").unwrap();
    span("own").in_scope(|| ());
    let traced = telemetry.only_span("parse");
    // The crate under test is that of the test too.
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let scope = traced.instrumentation_scope();
    assert_eq!((scope.name(), scope.version(), scope.schema_url()), (name, Some(version), None));
    assert!(
        telemetry.only_span("own").instrumentation_scope().schema_url().is_some(),
        "the kit's own has one"
    );
}
