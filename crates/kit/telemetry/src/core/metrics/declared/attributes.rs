//! Attributes whose values are known.

use opentelemetry::KeyValue;

/// The value of an attribute that is not in its list.
const OTHER: &str = "_OTHER";

/// An attribute with a fixed list of values: an enum, as a rule.
pub trait Attribute: Copy + PartialEq + 'static {
    /// Its name.
    const KEY: &'static str;
    /// What it says, as a sentence.
    const DESCRIPTION: &'static str;
    /// Every value and its text. What is left out is recorded as `_OTHER`.
    const VALUES: &'static [(Self, &'static str)];

    /// The text of this value.
    ///
    /// ```
    /// use waypost_telemetry::metrics::declared::Attribute;
    ///
    /// #[derive(Clone, Copy, PartialEq)]
    /// struct IsGift(bool);
    ///
    /// impl Attribute for IsGift {
    ///     const KEY: &'static str = "order.is_gift";
    ///     const DESCRIPTION: &'static str = "Whether somebody else gets it.";
    ///     const VALUES: &'static [(Self, &'static str)] = &[(Self(false), "false"), (Self(true), "true")];
    /// }
    /// assert_eq!(IsGift(true).text(), "true");
    /// ```
    fn text(self) -> &'static str {
        Self::VALUES.get(place_of(self)).map_or(OTHER, |(_, text)| *text)
    }
}

/// The place of a value in its list; one behind the last if it is not in it.
fn place_of<A: Attribute>(value: A) -> usize {
    A::VALUES.iter().position(|(known, _)| *known == value).unwrap_or(A::VALUES.len())
}

/// The attributes of an instrument: `()`, or up to four [`Attribute`]s as a tuple.
pub trait Attributes: Copy + 'static {
    /// How many series their values make.
    const SERIES: usize;
    /// The same, with a value for what is in no list.
    #[doc(hidden)]
    const PLACES: usize;

    /// Names, descriptions and values, in their order.
    fn describe(each: &mut dyn FnMut(&'static str, &'static str, Vec<&'static str>));

    /// The number of the series that these values are.
    #[doc(hidden)]
    fn place(self) -> usize;

    /// As they are recorded.
    fn attributes(self) -> Vec<KeyValue>;
}

macro_rules! tuples {
    ($(($($name:ident $field:tt),*))*) => {$(
        impl<$($name: Attribute),*> Attributes for ($($name,)*) {
            const SERIES: usize = 1 $(* $name::VALUES.len())*;
            const PLACES: usize = 1 $(* ($name::VALUES.len() + 1))*;

            fn describe(each: &mut dyn FnMut(&'static str, &'static str, Vec<&'static str>)) {
                $(each($name::KEY, $name::DESCRIPTION, $name::VALUES.iter().map(|(_, text)| *text).collect());)*
                let _ = each;
            }

            fn place(self) -> usize {
                let place = 0;
                $(let place = place * ($name::VALUES.len() + 1) + place_of(self.$field);)*
                place
            }

            fn attributes(self) -> Vec<KeyValue> {
                vec![$(KeyValue::new($name::KEY, self.$field.text())),*]
            }
        }
    )*};
}

tuples! {
    ()
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}
