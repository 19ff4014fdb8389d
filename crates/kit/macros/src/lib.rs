//! `#[traced]`: a span around a function of one's own.
//!
//! For users of `waypost-telemetry` with its feature `macros`, which re-exports it; not meant to be named directly.
//! What a span is and how it ends is the kit's business: this only writes the call of `span(..).run(..)` around the
//! body, so nothing here can change what is recorded.

#![warn(missing_docs)]

mod arguments;
mod function;

use proc_macro::TokenStream;
use syn::parse_macro_input;

use arguments::Arguments;

/// Runs the body of a function, `async` or not, inside a span that is a child of the current one.
///
/// The span has the name of the function. If the function returns a `Result`, outcome and `error.type` come from it, as
/// in `SpanBuilder::run`; a future that is dropped ends its span as cancelled.
///
/// | argument | meaning |
/// |---|---|
/// | `name = "place-order"` | another name; a string literal or a constant |
/// | `kind = "client"` | `client`, `server`, `producer`, `consumer`; else internal |
/// | `fields(order.id = order.id, items = list.len())` | attributes: a key and an expression, evaluated before the body |
/// | `fields(user, %address, ?state)` | a parameter under its own name; `%` by `Display`, `?` by `Debug` |
/// | `args` | all parameters but `self`, by `Debug` |
/// | `skip(password, body)` | those parameters not, with `args` |
/// | `err` | the return type is a `Result` under another name |
/// | `err = classify` | as `SpanBuilder::run_with`: a function from `&E` to what kind of failure it is |
/// | `err = false` | the result does not decide the outcome |
/// | `crate = path` | where `waypost_telemetry` is, if it is re-exported |
///
/// The span's instrumentation scope is the crate in which the function stands, with its version.
///
/// Parameters are not recorded unless asked for: they may hold secrets and cost time.
///
/// ```
/// use waypost_telemetry::testing::TestTelemetry;
/// use waypost_telemetry::{set, traced, with_context};
///
/// #[traced(name = "price-order", fields(order.id = order, items = items.len()))]
/// async fn price(order: u64, items: &[&str]) -> Result<u64, std::io::Error> {
///     set("price.rule", "list");
///     let first = items.first().ok_or(std::io::ErrorKind::NotFound)?;
///     Ok(first.len() as u64)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let telemetry = TestTelemetry::new("order-service");
/// with_context(telemetry.context(), async { price(7, &[]).await.unwrap_err() }).await;
/// telemetry.tree().assert_matches(
///     "price-order INTERNAL order-service ERROR order.id=7 items=0 price.rule=list error.type=not_found",
/// );
/// # });
/// ```
///
/// A function that returns a future without being `async` gets a span around the making of the future only; with
/// `async_trait` put `#[traced]` on the function inside the `#[async_trait]` block, it looks into the box.
#[proc_macro_attribute]
pub fn traced(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let arguments = parse_macro_input!(arguments as Arguments);
    let function = parse_macro_input!(function as syn::ItemFn);
    function::expand(&arguments, function).unwrap_or_else(|error| error.to_compile_error()).into()
}
