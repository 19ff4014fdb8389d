//! Settings structs whose doc comments are their documentation.

#[cfg(feature = "load")]
use serde::Serialize;

/// One setting, described by the doc comment and the default of its field.
#[cfg(feature = "load")]
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDoc {
    /// Dotted path from the struct that was asked, for example `limits.header_timeout`.
    pub key: String,
    /// The doc comment, each of its lines on a line.
    pub doc: String,
    /// The type as a reader knows it: `Duration`, `u32`, `list of String`.
    pub type_name: String,
    /// The default; `None` when the setting is unset by default.
    pub default: Option<toml::Value>,
    /// True for a section: its settings follow.
    pub is_section: bool,
}

/// A struct made by [`settings!`](crate::settings): every field has a default and a description.
#[cfg(feature = "load")]
pub trait Settings: Default + Serialize {
    /// Every setting in the order of the source, those of nested sections after their section.
    fn describe() -> Vec<FieldDoc> {
        Self::default().describe_self()
    }

    /// As [`Settings::describe`], with the values of `self` as the defaults.
    fn describe_self(&self) -> Vec<FieldDoc>;
}

/// Makes a settings struct: `Clone`, `Debug`, `Default`, `Serialize` and `Deserialize` (a missing key takes its
/// default, an unknown key is an error), and `Settings` from the doc comments.
///
/// A field is `/// what it means`, then `pub name: Type = default,`. A field whose type is itself made by this
/// macro is a section. Between the two may stand `#[serde(with = "...")]`, or `#[serde(skip)]` for a field that is no
/// setting. A `#[derive(..)]` after the struct's doc comment adds to the derives. The crate that uses it needs
/// `serde` with `derive` as a dependency.
///
/// ```
/// use waypost_settings::{Duration, settings};
///
/// settings! {
///     /// How patient the kitchen is.
///     pub struct Kitchen {
///         /// Time an order may wait.
///         pub patience: Duration = Duration::from_secs(2),
///     }
/// }
///
/// assert_eq!(*Kitchen::default().patience, std::time::Duration::from_secs(2));
/// # #[cfg(feature = "load")]
/// assert_eq!(<Kitchen as waypost_settings::Settings>::describe()[0].doc, "Time an order may wait.");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:ident),+)])?
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])+
                $(#[serde($($serde:tt)+)])?
                $field_visibility:vis $field:ident : $type:ty = $default:expr
            ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, ::serde::Serialize, ::serde::Deserialize $(, $($derive),+)?)]
        #[serde(default, deny_unknown_fields)]
        $visibility struct $name {
            $(
                $(#[doc = $field_doc])+
                $(#[serde($($serde)+)])?
                $field_visibility $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }

        $crate::__describe! {
            $name { $($field: $type, [$($($serde)+)?], [$($field_doc),+];)* }
        }
    };
}

/// The half of [`settings!`](crate::settings) that is there for the reference and for reading. A macro of its own,
/// because it is this crate that knows its features, not the one that declares settings.
#[cfg(feature = "load")]
#[doc(hidden)]
#[macro_export]
macro_rules! __describe {
    ($name:ident { $($field:ident: $type:ty, [$($serde:tt)*], [$($doc:literal),+];)* }) => {
        impl $crate::Settings for $name {
            fn describe_self(&self) -> Vec<$crate::FieldDoc> {
                #[allow(unused_imports)]
                use $crate::describing::{Field, Section as _, Setting as _};
                let values = $crate::describing::values(self);
                let mut fields = Vec::new();
                $(
                    if stringify!($($serde)*) != "skip" {
                        fields.extend((&Field(&self.$field)).describe_field(
                            stringify!($field),
                            stringify!($type),
                            &[$($doc),+],
                            &values,
                        ));
                    }
                )*
                fields
            }
        }
    };
}

/// Without `load` nobody asks for descriptions.
#[cfg(not(feature = "load"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __describe {
    ($($described:tt)*) => {};
}

/// What the macro expands to. Not for use by hand.
///
/// `(&Field(value)).describe_field(..)` finds [`Section`](describing::Section) first when the type has settings
/// of its own, and [`Setting`](describing::Setting) by one more reference otherwise.
#[cfg(feature = "load")]
#[doc(hidden)]
pub mod describing {
    use super::{FieldDoc, Settings};
    use serde::Serialize;
    use toml::Table;

    #[derive(Debug)]
    pub struct Field<'a, T>(pub &'a T);

    /// As they are written; what TOML cannot express is unset.
    pub fn values(settings: &impl Serialize) -> Table {
        Table::try_from(settings).unwrap_or_default()
    }

    pub trait Section {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str], values: &Table) -> Vec<FieldDoc>;
    }

    impl<T: Settings> Section for Field<'_, T> {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str], _: &Table) -> Vec<FieldDoc> {
            let section = FieldDoc {
                key: name.to_owned(),
                doc: joined(doc),
                type_name: readable(type_text),
                default: None,
                is_section: true,
            };
            let nested = self.0.describe_self().into_iter();
            let nested = nested.map(|field| FieldDoc { key: format!("{name}.{}", field.key), ..field });
            std::iter::once(section).chain(nested).collect()
        }
    }

    pub trait Setting {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str], values: &Table) -> Vec<FieldDoc>;
    }

    impl<T> Setting for &Field<'_, T> {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str], values: &Table) -> Vec<FieldDoc> {
            vec![FieldDoc {
                key: name.to_owned(),
                doc: joined(doc),
                type_name: readable(type_text),
                default: values.get(name).cloned(),
                is_section: false,
            }]
        }
    }

    fn joined(doc: &[&str]) -> String {
        let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
        lines.join("\n").trim().to_owned()
    }

    /// `Vec < String >` as `list of String`, `Option < T >` as `T`, `a :: B` as `B`.
    fn readable(type_text: &str) -> String {
        let text: String = type_text.split_whitespace().collect();
        let inside = |outer: &str| text.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
        if let Some(inner) = inside("Option<") {
            return readable(inner);
        }
        if let Some(inner) = inside("Vec<") {
            return format!("list of {}", readable(inner));
        }
        if let Some(inner) = inside("Secret<") {
            return format!("secret {}", readable(inner));
        }
        match text.split_once('<') {
            None => text.rsplit("::").next().unwrap_or(&text).to_owned(),
            Some(_) => text,
        }
    }
}
