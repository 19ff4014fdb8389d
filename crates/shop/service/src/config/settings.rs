//! Settings structs whose doc comments are their documentation.

use serde::Serialize;

/// One setting, described by the doc comment and the default of its field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDoc {
    /// Dotted path from the struct that was asked, for example `limits.header_timeout`.
    pub key: String,
    /// The doc comment, one line a line.
    pub doc: String,
    /// The type as a reader knows it: `Duration`, `u32`, `list of String`.
    pub type_name: String,
    /// The default; `None` when the setting is unset by default.
    pub default: Option<toml::Value>,
    /// True for a section: its settings follow.
    pub is_section: bool,
}

/// A struct made by [`settings!`](crate::settings): every field has a default and a description.
pub trait Settings: Default + Serialize {
    /// Every setting in the order of the source, those of nested sections after their section.
    fn describe() -> Vec<FieldDoc> {
        Self::default().describe_self()
    }

    /// As [`Settings::describe`], with the values of `self` as the defaults.
    fn describe_self(&self) -> Vec<FieldDoc>;
}

/// Makes a settings struct: `Clone`, `Debug`, `Default`, `Serialize` and `Deserialize` (a missing key takes its
/// default, an unknown key is an error), and [`Settings`] from the doc comments.
///
/// A field is `/// what it means`, then `pub name: Type = default,`. A field whose type is itself made by this
/// macro is a section. A `#[derive(..)]` after the struct's doc comment adds to the derives. The crate that uses it
/// needs `serde` with `derive` as a dependency.
///
/// ```
/// use waypost_service::config::{Duration, Settings};
///
/// waypost_service::settings! {
///     /// How patient the kitchen is.
///     pub struct Kitchen {
///         /// Time an order may wait.
///         pub patience: Duration = Duration::from_secs(2),
///     }
/// }
///
/// assert_eq!(*Kitchen::default().patience, std::time::Duration::from_secs(2));
/// assert_eq!(Kitchen::describe()[0].doc, "Time an order may wait.");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:ident),+)])?
        $visibility:vis struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])+
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
                $field_visibility $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),* }
            }
        }

        impl $crate::config::Settings for $name {
            fn describe_self(&self) -> Vec<$crate::config::FieldDoc> {
                #[allow(unused_imports)]
                use $crate::config::describing::{Field, Section as _, Setting as _};
                let mut fields = Vec::new();
                $(
                    fields.extend((&Field(&self.$field)).describe_field(
                        stringify!($field),
                        stringify!($type),
                        &[$($field_doc),+],
                    ));
                )*
                fields
            }
        }
    };
}

/// What the macro expands to. Not for use by hand.
///
/// `(&Field(value)).describe_field(..)` finds [`Section`](describing::Section) first when the type has settings
/// of its own, and [`Setting`](describing::Setting) by one more reference otherwise.
#[doc(hidden)]
pub mod describing {
    use super::{FieldDoc, Settings};
    use serde::Serialize;

    #[derive(Debug)]
    pub struct Field<'a, T>(pub &'a T);

    pub trait Section {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str]) -> Vec<FieldDoc>;
    }

    impl<T: Settings> Section for Field<'_, T> {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str]) -> Vec<FieldDoc> {
            let section = FieldDoc {
                key: name.to_owned(),
                doc: joined(doc),
                type_name: readable(type_text),
                default: None,
                is_section: true,
            };
            let nested = self.0.describe_self().into_iter().map(|field| prefixed(name, field));
            std::iter::once(section).chain(nested).collect()
        }
    }

    pub trait Setting {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str]) -> Vec<FieldDoc>;
    }

    impl<T: Serialize> Setting for &Field<'_, T> {
        fn describe_field(&self, name: &str, type_text: &str, doc: &[&str]) -> Vec<FieldDoc> {
            let default = toml::Value::try_from(self.0).ok();
            let is_section = matches!(&default, Some(toml::Value::Table(table)) if !table.is_empty());
            let mut fields = vec![FieldDoc {
                key: name.to_owned(),
                doc: joined(doc),
                type_name: readable(type_text),
                default: default.clone().filter(|_| !is_section),
                is_section,
            }];
            // A settings struct of another make (the telemetry kit's): its keys and values, without prose.
            if let Some(toml::Value::Table(table)) = default.filter(|_| is_section) {
                fields.extend(foreign(table).into_iter().map(|field| prefixed(name, field)));
            }
            fields
        }
    }

    fn foreign(table: toml::Table) -> Vec<FieldDoc> {
        let plain = |key: &str, type_name: &str, default: Option<toml::Value>| FieldDoc {
            key: key.to_owned(),
            doc: String::new(),
            type_name: type_name.to_owned(),
            is_section: default.is_none(),
            default,
        };
        let mut fields = Vec::new();
        // A value before a section: in a TOML file it would fall into the section otherwise.
        let (sections, values): (Vec<_>, Vec<_>) = table.into_iter().partition(|(_, value)| value.is_table());
        fields.extend(
            values.into_iter().map(|(key, value)| plain(&key, value.type_str(), Some(value.clone()))),
        );
        for (key, value) in sections {
            fields.push(plain(&key, "section", None));
            if let toml::Value::Table(table) = value {
                fields.extend(foreign(table).into_iter().map(|field| prefixed(&key, field)));
            }
        }
        fields
    }

    fn prefixed(section: &str, mut field: FieldDoc) -> FieldDoc {
        field.key = format!("{section}.{}", field.key);
        field
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
