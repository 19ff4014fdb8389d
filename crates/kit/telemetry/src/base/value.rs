//! What can be the value of an attribute.
//!
//! OpenTelemetry has texts, whole and real numbers, truth values and lists of one of those. Everything else is brought
//! into that form here, in one way for spans, events and macros.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{Array, StringValue, Value};

/// What can be the value of an attribute of a span. `M` is inferred and means nothing to callers.
///
/// - everything that is `Into<opentelemetry::Value>`: `&'static str`, `String`, `i64`, `f64`, `bool`, own types that say so
/// - the other numbers; a whole number above `i64::MAX` becomes text, for OpenTelemetry has no larger ones
/// - `Option`: an absent value leaves the attribute out
/// - `Vec` and slices of one kind of value: a list
/// - `Duration`: seconds as a real number, as the conventions have it
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry
///     .span("price")
///     .attr("items", vec!["tea", "milk"].len())
///     .attr("names", vec!["tea", "milk"])
///     .attr("discount", None::<f64>)
///     .attr("waited", Duration::from_millis(1_500))
///     .in_scope(|| ());
/// let span = telemetry.only_span("price");
/// assert_eq!(span.attribute("items"), Some(&2.into()));
/// assert_eq!(span.attribute("names").unwrap().to_string(), r#"["tea","milk"]"#);
/// assert_eq!(span.attribute("discount"), None);
/// assert_eq!(span.attribute("waited"), Some(&1.5.into()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of an attribute",
    note = "use `attr_display` for what has a `Display`, or implement `From<{Self}>` for `opentelemetry::Value`"
)]
pub trait IntoValue<M> {
    /// The value; `None` leaves the attribute out.
    fn into_value(self) -> Option<Value>;
}

/// Marks values that OpenTelemetry takes as they are.
#[derive(Debug)]
pub struct Native;

/// Marks values that are converted here.
#[derive(Debug)]
pub struct Converted;

/// Marks an `Option` of values of mark `M`.
#[derive(Debug)]
pub struct Optional<M>(std::marker::PhantomData<M>);

/// Marks a list of values of mark `M`.
#[derive(Debug)]
pub struct List<M>(std::marker::PhantomData<M>);

impl<T: Into<Value>> IntoValue<Native> for T {
    #[inline]
    fn into_value(self) -> Option<Value> {
        Some(self.into())
    }
}

macro_rules! small {
    ($($number:ty),+) => {$(
        impl IntoValue<Converted> for $number {
            #[inline]
            fn into_value(self) -> Option<Value> {
                Some(Value::I64(i64::from(self)))
            }
        }
    )+};
}

small!(i8, i16, i32, u8, u16, u32);

macro_rules! large {
    ($($number:ty),+) => {$(
        impl IntoValue<Converted> for $number {
            #[inline]
            fn into_value(self) -> Option<Value> {
                Some(i64::try_from(self).map_or_else(|_| self.to_string().into(), Value::I64))
            }
        }
    )+};
}

large!(isize, usize, u64, i128, u128);

impl IntoValue<Converted> for f32 {
    fn into_value(self) -> Option<Value> {
        Some(Value::F64(f64::from(self)))
    }
}

impl IntoValue<Converted> for char {
    fn into_value(self) -> Option<Value> {
        Some(self.to_string().into())
    }
}

impl IntoValue<Converted> for Duration {
    fn into_value(self) -> Option<Value> {
        Some(Value::F64(self.as_secs_f64()))
    }
}

impl IntoValue<Converted> for &String {
    fn into_value(self) -> Option<Value> {
        Some(self.clone().into())
    }
}

impl IntoValue<Converted> for &Arc<str> {
    fn into_value(self) -> Option<Value> {
        Some(Arc::clone(self).into())
    }
}

impl IntoValue<Converted> for &Cow<'static, str> {
    fn into_value(self) -> Option<Value> {
        Some(self.clone().into())
    }
}

impl<M, T: IntoValue<M>> IntoValue<Optional<M>> for Option<T> {
    fn into_value(self) -> Option<Value> {
        self?.into_value()
    }
}

impl<M, T: IntoValue<M>> IntoValue<List<M>> for Vec<T> {
    fn into_value(self) -> Option<Value> {
        Some(list(self.into_iter().filter_map(T::into_value)))
    }
}

impl<M, T: IntoValue<M> + Clone> IntoValue<List<M>> for &[T] {
    fn into_value(self) -> Option<Value> {
        Some(list(self.iter().cloned().filter_map(T::into_value)))
    }
}

impl<M, T: IntoValue<M>, const N: usize> IntoValue<List<M>> for [T; N] {
    fn into_value(self) -> Option<Value> {
        Some(list(self.into_iter().filter_map(T::into_value)))
    }
}

/// A list of what all values are; if they differ, for one whole number was too large, of texts. The empty list is one
/// of texts.
fn list(values: impl Iterator<Item = Value>) -> Value {
    let values: Vec<Value> = values.collect();
    macro_rules! all {
        ($kind:ident) => {{
            let all = values.iter().map(|value| match value {
                Value::$kind(value) => Some(value.clone()),
                _ => None,
            });
            all.collect::<Option<Vec<_>>>()
        }};
    }
    let array = match values.first() {
        Some(Value::I64(_)) => all!(I64).map(Array::I64),
        Some(Value::F64(_)) => all!(F64).map(Array::F64),
        Some(Value::Bool(_)) => all!(Bool).map(Array::Bool),
        _ => None,
    };
    let texts =
        || Array::String(values.iter().map(|value| StringValue::from(value.as_str().into_owned())).collect());
    Value::Array(array.unwrap_or_else(texts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<M>(value: impl IntoValue<M>) -> String {
        value.into_value().map_or_else(|| "absent".to_owned(), |value| format!("{value:?}"))
    }

    #[test]
    fn numbers_become_whole_or_real_numbers() {
        assert_eq!(value(1), "I64(1)");
        assert_eq!(value(1_u32), "I64(1)");
        assert_eq!(value(1_usize), "I64(1)");
        assert_eq!(value(1.5_f32), "F64(1.5)");
        assert_eq!(value(Duration::from_millis(250)), "F64(0.25)");
    }

    #[test]
    fn what_is_too_large_becomes_text() {
        assert_eq!(u64::MAX.into_value(), Some(Value::from("18446744073709551615")));
        assert_eq!(
            [1, u64::MAX].into_value(),
            Some(list(["1", "18446744073709551615"].map(Value::from).into_iter()))
        );
    }

    #[test]
    fn an_absent_value_is_left_out() {
        assert_eq!(value(None::<&'static str>), "absent");
        assert_eq!(value(Some(7_u64)), "I64(7)");
    }

    #[test]
    fn lists_keep_the_kind_of_their_values() {
        assert_eq!(value(vec![1_u32, 2]), "Array(I64([1, 2]))");
        assert_eq!(value(&[true, false][..]), "Array(Bool([true, false]))");
        assert_eq!(value([0.5, 1.0]), "Array(F64([0.5, 1.0]))");
        assert!(value(vec!["a", "b"]).starts_with("Array(String("));
        assert!(value(Vec::<String>::new()).starts_with("Array(String([])"));
    }
}
