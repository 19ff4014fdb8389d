//! Instrumentation scopes of the code that opens a span, where that is not the kit.
//!
//! For `#[traced]` and for spans of `tracing`, whose names and versions are part of the program: there are as many as
//! the code has modules and crates, so they are kept for ever, and each has a number by which a handle finds its tracer.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use opentelemetry::InstrumentationScope;

use super::Tracer;
use crate::core::export::Scope;

static KNOWN: LazyLock<RwLock<Known>> = LazyLock::new(RwLock::default);

#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Name, usize>,
    scopes: Vec<Arc<Scope>>,
}

type Name = (&'static str, Option<&'static str>);

/// Who opens a span: the name and version of a crate, or the name of a module.
///
/// Spans of the kit's own functions carry the kit's scope unless they are given one; those of `#[traced]` carry the name
/// and version of the crate in which the function stands, those of `tracing` their target.
///
/// ```
/// use waypost_telemetry::CodeScope;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// static PRICING: CodeScope = CodeScope::new("shop-pricing", Some("2.1.0"));
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("price-order").scope(&PRICING).in_scope(|| ());
/// let span = telemetry.only_span("price-order");
/// assert_eq!(span.scope(), "shop-pricing");
/// assert_eq!(span.instrumentation_scope().version(), Some("2.1.0"));
/// ```
#[derive(Debug)]
pub struct CodeScope {
    name: Name,
    number: OnceLock<ScopeNumber>,
}

impl CodeScope {
    /// A scope by its name and version.
    pub const fn new(name: &'static str, version: Option<&'static str>) -> Self {
        Self { name: (name, version), number: OnceLock::new() }
    }

    pub(crate) fn number(&self) -> ScopeNumber {
        *self.number.get_or_init(|| ScopeNumber::of(self.name.0, self.name.1))
    }
}

/// A known scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeNumber(usize);

impl ScopeNumber {
    /// The scope of this name and version; the same one every time.
    pub(crate) fn of(name: &'static str, version: Option<&'static str>) -> Self {
        let found =
            KNOWN.read().unwrap_or_else(PoisonError::into_inner).numbers.get(&(name, version)).copied();
        Self(found.unwrap_or_else(|| {
            let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
            let Known { numbers, scopes } = &mut *known;
            *numbers.entry((name, version)).or_insert_with(|| {
                let scope = InstrumentationScope::builder(name);
                let scope = match version {
                    Some(version) => scope.with_version(version).build(),
                    None => scope.build(),
                };
                scopes.push(Scope::new(scope));
                scopes.len() - 1
            })
        }))
    }

    fn scope(self) -> Option<Arc<Scope>> {
        KNOWN.read().unwrap_or_else(PoisonError::into_inner).scopes.get(self.0).cloned()
    }
}

/// The tracers of a handle for the scopes that were asked for.
#[derive(Debug, Default)]
pub(crate) struct ScopedTracers(RwLock<Vec<Option<Tracer>>>);

impl ScopedTracers {
    /// The tracer of a scope, which shares everything else with `base`.
    pub(crate) fn get(&self, base: &Tracer, number: ScopeNumber) -> Tracer {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(number.0).cloned().flatten();
        if let Some(tracer) = known {
            return tracer;
        }
        let Some(scope) = number.scope() else { return base.clone() };
        let tracer = base.with_scope(scope);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() <= number.0 {
            known.resize(number.0 + 1, None);
        }
        if let Some(place) = known.get_mut(number.0) {
            *place = Some(tracer.clone());
        }
        tracer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_known_by_name_and_version() {
        let one = CodeScope::new("scopes-test", Some("1"));
        let same = CodeScope::new("scopes-test", Some("1"));
        let other = CodeScope::new("scopes-test", None);
        assert_eq!(one.number(), same.number());
        assert_ne!(one.number(), other.number());
    }
}
