//! Names of attributes and metrics in the code, to compare with the registry.
//!
//! A name counts as used where it is handed to something that sets an attribute or makes an instrument, written there
//! or through a constant. Tests and what `tracing`'s macros say are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, ExprCall, ExprMethodCall, ItemConst, ItemFn, ItemMod, Lit};

/// Methods whose first argument is the name of an attribute.
const SETTERS: [&str; 3] = ["attr", "set", "label"];

/// Methods whose first argument is the name of a metric, behind the type of its numbers.
const INSTRUMENTS: [&str; 8] = [
    "counter",
    "histogram",
    "gauge",
    "up_down_counter",
    "observable_counter",
    "observable_gauge",
    "observable_up_down_counter",
    "observable_histogram",
];

/// What the code names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Names of attributes, with a place where each is set.
    pub(crate) attributes: BTreeMap<String, String>,
    /// Names of metrics, with a place where each is made.
    pub(crate) metrics: BTreeMap<String, String>,
    /// Every text in the code.
    pub(crate) texts: BTreeSet<String>,
}

impl Names {
    /// Reads the sources of every crate in a folder of crates.
    pub(crate) fn read(crates: &Path) -> anyhow::Result<Self> {
        let mut reader = Reader::default();
        reader.folder(crates)?;
        Ok(reader.names())
    }
}

#[derive(Debug, Default)]
struct Reader {
    place: String,
    /// In this file `set` is a method of librdkafka's configuration, whose options look like attributes.
    sets_options_of_kafka: bool,
    constants: BTreeMap<String, BTreeSet<String>>,
    attributes: Vec<(Named, String)>,
    metrics: Vec<(Named, String)>,
    texts: BTreeSet<String>,
}

/// A name as it is handed over.
#[derive(Debug)]
enum Named {
    Text(String),
    Constant(String),
}

impl Reader {
    fn folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_test =
                matches!(name, "tests" | "tests.rs" | "testkit" | "benches" | "examples" | "testing")
                    || name.starts_with("test-");
            if is_test {
                continue;
            }
            if path.is_dir() {
                self.folder(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                self.place = path.display().to_string();
                let text = std::fs::read_to_string(&path)?;
                self.file(&text).with_context(|| self.place.clone())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, text: &str) -> anyhow::Result<()> {
        let file = syn::parse_file(text)?;
        self.sets_options_of_kafka = text.contains("ClientConfig");
        self.visit_file(&file);
        Ok(())
    }

    fn names(self) -> Names {
        let constants = self.constants;
        let resolve = |used: Vec<(Named, String)>| {
            let named = used.into_iter().flat_map(|(name, place)| {
                let names = match name {
                    Named::Text(text) => BTreeSet::from([text]),
                    Named::Constant(name) => constants.get(&name).cloned().unwrap_or_default(),
                };
                names.into_iter().map(move |name| (name, place.clone()))
            });
            named.filter(|(name, _)| is_dotted(name)).collect()
        };
        Names { attributes: resolve(self.attributes), metrics: resolve(self.metrics), texts: self.texts }
    }

    fn add_attribute(&mut self, argument: Option<&Expr>) {
        self.attributes.extend(argument.and_then(named).map(|name| (name, self.place.clone())));
    }

    fn add_metric(&mut self, argument: Option<&Expr>) {
        self.metrics.extend(argument.and_then(named).map(|name| (name, self.place.clone())));
    }
}

/// The name in an argument: a text, a constant, or either behind a reference.
fn named(argument: &Expr) -> Option<Named> {
    match argument {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(Named::Text(text.value())),
            _ => None,
        },
        Expr::Path(path) => {
            let name = path.path.segments.last()?.ident.to_string();
            name.chars().all(|c| c.is_ascii_uppercase() || c == '_').then_some(Named::Constant(name))
        }
        Expr::Reference(reference) => named(&reference.expr),
        _ => None,
    }
}

/// Attributes and metrics have at least two parts; a word alone is a field of something else.
fn is_dotted(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
    };
    name.contains('.') && name.split('.').all(is_part)
}

fn is_instrument(method: &str) -> bool {
    let number = method.split_once('_').filter(|(number, _)| matches!(*number, "u64" | "i64" | "f64"));
    number.is_some_and(|(_, kind)| INSTRUMENTS.contains(&kind))
}

/// Whether a closure is handed over: the value of an attribute is none, so the name is of something else.
fn takes_closure(call: &ExprMethodCall) -> bool {
    matches!(call.args.last(), Some(Expr::Closure(_)))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test")))
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        if let Some(Named::Text(text)) = named(&item.expr) {
            let is_listed = self.place.ends_with("attributes.rs") && is_dotted(&text);
            self.constants.entry(item.ident.to_string()).or_default().insert(text.clone());
            if is_listed {
                self.attributes.push((Named::Text(text), self.place.clone()));
            }
        }
        visit::visit_item_const(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let method = call.method.to_string();
        if SETTERS.contains(&method.as_str()) && !takes_closure(call) && !self.sets_options_of_kafka {
            self.add_attribute(call.args.first());
        } else if is_instrument(&method) {
            self.add_metric(call.args.first());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let parts: Vec<_> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
            match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [.., "KeyValue", "new"] | [.., "set"] => self.add_attribute(call.args.first()),
                [.., "durations"] => self.add_metric(call.args.iter().nth(1)),
                _ => {}
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.texts.insert(text.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Names {
        let mut reader = Reader { place: "a/attributes.rs".to_owned(), ..Reader::default() };
        reader.file(text).unwrap();
        reader.names()
    }

    fn keys(names: &BTreeMap<String, String>) -> Vec<&str> {
        names.keys().map(String::as_str).collect()
    }

    #[test]
    fn names_are_found_however_they_are_handed_over() {
        let names = of("
            pub const ORDER_ID: &str = \"order.id\";
            fn f(span: Span) {
                span.attr(\"a.b\", 1).attr(keys::TENANT, 2);
                set(\"c.d\", 1);
                KeyValue::new(\"e.f\", 1);
                vec.push(1);
                map.set(\"word\", 1);
                reader.set(\"limits.spans\", |settings| settings.spans = 1);
            }
            const TENANT: &str = \"tenant.id\";
        ");
        assert_eq!(keys(&names.attributes), ["a.b", "c.d", "e.f", "order.id", "tenant.id"]);
    }

    #[test]
    fn options_of_kafkas_client_are_no_attributes() {
        let names = of("fn f() { ClientConfig::new().set(\"linger.ms\", \"0\"); }");
        assert_eq!(keys(&names.attributes), Vec::<&str>::new());
    }

    #[test]
    fn metrics_are_found_by_their_instruments() {
        let names = of(
            "fn f() { meter.u64_counter(\"a.b\"); durations(meter, \"c.d\", \"text\"); m.counter(\"no.no\"); }",
        );
        assert_eq!(keys(&names.metrics), ["a.b", "c.d"]);
        assert!(names.texts.contains("no.no"));
    }

    #[test]
    fn tests_do_not_count() {
        let names =
            of("#[cfg(test)] mod tests { fn f() { set(\"a.b\", 1); } } #[test] fn g() { set(\"c.d\", 1); }");
        assert!(names.attributes.is_empty() && names.texts.is_empty(), "{names:?}");
    }
}
