//! Rules: the first one whose conditions hold decides.

use opentelemetry::trace::SpanKind;

use super::{ComposableSampler, Intent, SpanStart};

/// Has the first rule that fits a span decide about it, and `otherwise` where none does.
///
/// ```
/// use waypost_telemetry::sampling::{self, SpanPattern};
/// use waypost_telemetry::{Builder, testing::TestTelemetry};
///
/// let sampler = sampling::rules(sampling::always_on()).rule(SpanPattern::new().name("poll-*"), sampling::always_off());
/// let telemetry = Builder::new(TestTelemetry::settings("order-service")).composable_sampler(sampler).init()?;
/// telemetry.span("poll-orders").in_scope(|| ());
/// telemetry.span("place").in_scope(|| ());
/// assert_eq!(telemetry.finished_spans().len(), 1);
/// # Ok::<(), waypost_telemetry::InitError>(())
/// ```
pub fn rules(otherwise: impl ComposableSampler + 'static) -> Rules {
    Rules { rules: Vec::new(), otherwise: Box::new(otherwise) }
}

/// See [`rules`].
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    otherwise: Box<dyn ComposableSampler>,
}

/// A pattern and who decides where it fits.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) pattern: SpanPattern,
    pub(super) sampler: Box<dyn ComposableSampler>,
}

impl Rules {
    /// One more rule, behind those that are there.
    #[must_use]
    pub fn rule(mut self, pattern: SpanPattern, sampler: impl ComposableSampler + 'static) -> Self {
        self.rules.push(Rule { pattern, sampler: Box::new(sampler) });
        self
    }
}

impl ComposableSampler for Rules {
    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        first(&self.rules, span).unwrap_or_else(|| self.otherwise.intent(span))
    }
}

/// What the first rule that fits says.
pub(super) fn first(rules: &[Rule], span: &SpanStart<'_>) -> Option<Intent> {
    rules.iter().find(|rule| rule.pattern.fits(span)).map(|rule| rule.sampler.intent(span))
}

/// Conditions on a span that is about to start, which must all hold. In texts `*` stands for any characters.
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::SpanKind;
/// use waypost_telemetry::sampling::SpanPattern;
///
/// let reads = SpanPattern::new().kind(SpanKind::Server).route("/orders/*").attribute("http.request.method", "GET");
/// # drop(reads);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SpanPattern {
    kind: Option<SpanKind>,
    name: Option<String>,
    route: Option<String>,
    attributes: Vec<(String, String)>,
    tenant: Option<String>,
}

impl SpanPattern {
    /// Fits every span.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spans of this kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// By the name the span starts with.
    #[must_use]
    pub fn name(mut self, pattern: impl Into<String>) -> Self {
        self.name = Some(pattern.into());
        self
    }

    /// By `http.route`, or by `url.path` where no route is known.
    #[must_use]
    pub fn route(mut self, pattern: impl Into<String>) -> Self {
        self.route = Some(pattern.into());
        self
    }

    /// By the text of an attribute that the span starts with; without the attribute it does not fit.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.attributes.push((key.into(), pattern.into()));
        self
    }

    /// By the tenant in the baggage.
    #[must_use]
    pub fn tenant(mut self, pattern: impl Into<String>) -> Self {
        self.tenant = Some(pattern.into());
        self
    }

    fn fits(&self, span: &SpanStart<'_>) -> bool {
        let text_fits = |pattern: &Option<String>, text: &dyn Fn() -> Option<String>| {
            pattern.as_ref().is_none_or(|pattern| text().is_some_and(|text| matches(pattern, &text)))
        };
        let attribute = |key: &str| span.attribute(key).map(|value| value.as_str().into_owned());
        self.kind.as_ref().is_none_or(|kind| kind == span.kind)
            && self.name.as_ref().is_none_or(|pattern| matches(pattern, span.name))
            && text_fits(&self.route, &|| attribute("http.route").or_else(|| attribute("url.path")))
            && text_fits(&self.tenant, &|| span.tenant().map(|tenant| tenant.as_str().to_owned()))
            && self
                .attributes
                .iter()
                .all(|(key, pattern)| attribute(key).is_some_and(|text| matches(pattern, &text)))
    }
}

/// Whether a text is what a pattern with `*` stands for. Takes time in proportion to the product of the lengths at worst:
/// only the last star is ever tried again.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(byte) if text.get(read) == Some(byte) => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, begin)) = star else { return false };
                star = Some((place, begin + 1));
                at = place + 1;
                read = begin + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "/orders"),
            ("/orders/*", "/orders/"),
            ("/orders/*/items", "/orders/7/items/8/items"),
            ("*a*b", "aaxbab"),
            ("**", "ab"),
            ("a", "a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("", "a"), ("a", ""), ("/orders/*", "/orders"), ("*a", "ab"), ("a*b", "acbd"), ("?", "a")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_hostile_text_is_judged_in_bounded_time() {
        let text = "a".repeat(20_000);
        assert!(!matches("*a*a*a*a*a*a*a*b", &text));
    }
}
