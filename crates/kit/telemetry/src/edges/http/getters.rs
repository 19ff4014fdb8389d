//! What closures of the program say of a request: its name, further attributes, whether it failed.
//!
//! None of them can fail a request: where one panics, the layer goes on as if it had said nothing. What they return is
//! cut to the length that everything an edge records is cut to; that names and labels are few is the program's part.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::{KeyValue, Value};

use super::head::{RequestHead, ResponseHead};
use crate::base::attributes::ERROR_TYPE;
use crate::base::redact;
use crate::core::exchange::asked::Asked;

/// The longest name of a span, and the longest text of a label.
const MAX_NAME: usize = 255;
/// Labels that one request adds to metrics, at most.
const MAX_LABELS: usize = 16;

type OfRequest<T> = Arc<Asked<dyn Fn(&RequestHead<'_>) -> T + Send + Sync>>;
type OfResponse<T> = Arc<Asked<dyn Fn(&ResponseHead<'_>) -> T + Send + Sync>>;

/// The closures of a layer.
#[derive(Clone, Default)]
pub(super) struct Getters {
    name: Option<OfRequest<Option<Cow<'static, str>>>>,
    span: Option<OfRequest<Vec<KeyValue>>>,
    response: Option<OfResponse<Vec<KeyValue>>>,
    metric: Option<OfRequest<Vec<KeyValue>>>,
    error: Option<OfResponse<Option<Cow<'static, str>>>>,
}

impl Getters {
    pub(super) fn set_name(
        &mut self,
        name: impl Fn(&RequestHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) {
        self.name = Some(Arc::new(Asked::new("`span_name` of a layer", name)));
    }

    pub(super) fn set_span(
        &mut self,
        attributes: impl Fn(&RequestHead<'_>) -> Vec<KeyValue> + Send + Sync + 'static,
    ) {
        self.span = Some(Arc::new(Asked::new("`span_attributes` of a layer", attributes)));
    }

    pub(super) fn set_response(
        &mut self,
        attributes: impl Fn(&ResponseHead<'_>) -> Vec<KeyValue> + Send + Sync + 'static,
    ) {
        self.response = Some(Arc::new(Asked::new("`response_attributes` of a layer", attributes)));
    }

    pub(super) fn set_metric(
        &mut self,
        attributes: impl Fn(&RequestHead<'_>) -> Vec<KeyValue> + Send + Sync + 'static,
    ) {
        self.metric = Some(Arc::new(Asked::new("`metric_attributes` of a layer", attributes)));
    }

    pub(super) fn set_error(
        &mut self,
        classify: impl Fn(&ResponseHead<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) {
        self.error = Some(Arc::new(Asked::new("`error_classifier` of a layer", classify)));
    }

    /// The name of the span, where the program has one.
    pub(super) fn name(&self, request: &RequestHead<'_>) -> Option<Cow<'static, str>> {
        let said = self.name.as_ref().and_then(|name| name.ask(None, |name| name(request)));
        said.filter(|name| !name.is_empty()).map(|name| cut(name, MAX_NAME))
    }

    /// Further attributes of the span at its start.
    pub(super) fn span(&self, request: &RequestHead<'_>) -> Vec<KeyValue> {
        let said = self.span.as_ref().map(|span| span.ask(Vec::new(), |span| span(request)));
        said.unwrap_or_default()
    }

    /// Further attributes of the span when the response's head is there.
    pub(super) fn response(&self, response: &ResponseHead<'_>) -> Vec<KeyValue> {
        let said = self.response.as_ref().map(|span| span.ask(Vec::new(), |span| span(response)));
        said.unwrap_or_default()
    }

    /// Further labels of the metrics. The conventions' own cannot be said otherwise here.
    pub(super) fn metric(&self, request: &RequestHead<'_>) -> Vec<KeyValue> {
        let Some(metric) = &self.metric else { return Vec::new() };
        let said = metric.ask(Vec::new(), |metric| metric(request));
        said.into_iter()
            .filter(|label| !is_conventional(label.key.as_str()))
            .take(MAX_LABELS)
            .map(bounded)
            .collect()
    }

    /// What the program says of a response.
    pub(super) fn verdict(&self, response: &ResponseHead<'_>) -> Verdict {
        let Some(error) = &self.error else { return Verdict::ByRule };
        error.ask(Verdict::ByRule, |classify| match classify(response) {
            Some(class) => Verdict::Error(cut(class, MAX_NAME)),
            None => Verdict::Fine,
        })
    }
}

/// Whether a response is an error.
#[derive(Clone, Debug, Default)]
pub(super) enum Verdict {
    /// As the conventions say.
    #[default]
    ByRule,
    Fine,
    /// Of this type.
    Error(Cow<'static, str>),
}

impl Verdict {
    /// The `error.type`; `rule` is that of the conventions.
    pub(super) fn error_type(
        self,
        rule: impl FnOnce() -> Option<Cow<'static, str>>,
    ) -> Option<Cow<'static, str>> {
        match self {
            Self::ByRule => rule(),
            Self::Fine => None,
            Self::Error(class) => Some(class),
        }
    }
}

fn is_conventional(key: &str) -> bool {
    key == ERROR_TYPE || ["http.", "url.", "server.", "network."].iter().any(|prefix| key.starts_with(prefix))
}

fn bounded(label: KeyValue) -> KeyValue {
    let value = match label.value {
        Value::String(text) => Value::String(redact::bounded_to(text.as_str(), MAX_NAME).to_owned().into()),
        value => value,
    };
    KeyValue::new(label.key, value)
}

fn cut(text: Cow<'static, str>, limit: usize) -> Cow<'static, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(redact::bounded_to(text, limit)),
        Cow::Owned(mut text) => {
            text.truncate(redact::bounded_to(&text, limit).len());
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn names_and_labels_are_cut_and_the_conventions_labels_stay() {
        let mut getters = Getters::default();
        getters.set_name(|_| Some("é".repeat(300).into()));
        getters.set_metric(|_| {
            let own = (0..20).map(|number| KeyValue::new(format!("label.{number}"), "x".repeat(300)));
            own.chain([KeyValue::new("http.route", "/mine"), KeyValue::new(ERROR_TYPE, "mine")]).collect()
        });
        let request = Request::new(());
        let head = RequestHead::of(&request, None);
        assert_eq!(getters.name(&head).unwrap().len(), 254);
        let labels = getters.metric(&head);
        assert_eq!(labels.len(), MAX_LABELS);
        assert!(
            labels
                .iter()
                .all(|label| label.key.as_str().starts_with("label.") && label.value.as_str().len() == 255)
        );
    }
}
