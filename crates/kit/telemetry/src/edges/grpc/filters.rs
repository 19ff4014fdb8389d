//! Rules over methods, to be put together: for the filters of the gRPC layers.
//!
//! Each function gives a closure, so a rule of one's own stands among them as it is.
//!
//! ```
//! use waypost_telemetry::grpc::filters::{method, not, or, package};
//!
//! # let telemetry = waypost_telemetry::Telemetry::disabled();
//! let noise = or(package("grpc.reflection"), method("shop.v1.Stock/Ping"));
//! let layer = telemetry.grpc_server().filter(not(noise));
//! # drop(layer);
//! ```

use std::borrow::Cow;

/// Where `rule` does not hold.
pub fn not<F: Fn(&str) -> bool>(rule: F) -> impl Fn(&str) -> bool {
    move |method: &str| !rule(method)
}

/// Where both hold.
pub fn and<F: Fn(&str) -> bool, G: Fn(&str) -> bool>(first: F, second: G) -> impl Fn(&str) -> bool {
    move |method: &str| first(method) && second(method)
}

/// Where one of both holds.
pub fn or<F: Fn(&str) -> bool, G: Fn(&str) -> bool>(first: F, second: G) -> impl Fn(&str) -> bool {
    move |method: &str| first(method) || second(method)
}

/// Calls of this method, `package.Service/Method`.
pub fn method(name: impl Into<Cow<'static, str>>) -> impl Fn(&str) -> bool {
    let name = name.into();
    move |method: &str| method == name
}

/// Calls of this service, `package.Service`.
pub fn service(name: impl Into<Cow<'static, str>>) -> impl Fn(&str) -> bool {
    let name = name.into();
    move |method: &str| method.split_once('/').is_some_and(|(service, _)| service == name)
}

/// Calls of the services of this package and of those within it: `shop` has `shop.v1.Stock`, not `shopping.Cart`.
pub fn package(name: impl Into<Cow<'static, str>>) -> impl Fn(&str) -> bool {
    let name = name.into();
    move |method: &str| method.strip_prefix(&*name).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_look_at_their_part_of_a_method_and_are_put_together() {
        let called = "shop.v1.Stock/Check";
        assert!(method("shop.v1.Stock/Check")(called) && !method("Check")(called));
        assert!(service("shop.v1.Stock")(called) && !service("shop.v1")(called));
        assert!(package("shop")(called) && package("shop.v1")(called) && !package("sho")(called));
        assert!(and(package("shop"), not(service("shop.v1.Cart")))(called));
        assert!(or(service("shop.v1.Cart"), package("shop"))(called) && !not(package("shop"))(called));
    }
}
