//! Options that servers and clients have alike, written once.

use std::sync::Arc;

use super::head::RequestHead;
use crate::base::redact::SensitiveKeys;
use crate::core::exchange::asked::Asked;
use crate::core::exchange::attributes::{Capture, KnownMethods};

/// Says whether a request is traced.
type Filter = Arc<Asked<dyn Fn(&RequestHead<'_>) -> bool + Send + Sync>>;

/// What a layer was told.
#[derive(Clone, Default)]
pub(super) struct Options {
    pub(super) filter: Option<Filter>,
    pub(super) known_methods: KnownMethods,
    pub(super) sensitive_keys: SensitiveKeys,
    pub(super) request_headers: Capture,
    pub(super) response_headers: Capture,
}

impl Options {
    pub(super) fn set_filter(
        &mut self,
        is_traced: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) {
        self.filter = Some(Arc::new(Asked::new("the filter of a layer", is_traced)));
    }

    /// Whether a request is traced.
    pub(super) fn traces(&self, head: &RequestHead<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.ask(true, |is_traced| is_traced(head)))
    }
}

/// Gives a layer the setters of the options.
macro_rules! setters {
    ($layer:ident) => {
        impl $layer {
            /// Requests for which `is_traced` is false get neither span nor metrics; a server carries their context on, a
            /// client sends none with them. Where it panics the request is traced.
            #[must_use]
            pub fn filter(
                self,
                is_traced: impl Fn(&$crate::edges::http::RequestHead<'_>) -> bool + Send + Sync + 'static,
            ) -> Self {
                self.with(|edge| edge.options.set_filter(is_traced))
            }

            /// The methods recorded by name, in place of those of RFC 9110, RFC 5789 and QUERY.
            #[must_use]
            pub fn known_methods(self, methods: impl IntoIterator<Item = &'static str>) -> Self {
                let methods = $crate::core::exchange::attributes::KnownMethods::new(methods);
                self.with(|edge| edge.options.known_methods = methods)
            }

            /// Query keys whose values are replaced in `url.query` and `url.full`, in place of the default list.
            #[must_use]
            pub fn sensitive_query_keys(self, keys: $crate::base::redact::SensitiveKeys) -> Self {
                self.with(|edge| edge.options.sensitive_keys = keys)
            }

            /// Request headers recorded as `http.request.header.<name>`. Credentials are refused.
            #[must_use]
            pub fn capture_request_headers(self, names: impl IntoIterator<Item = http::HeaderName>) -> Self {
                let capture = $crate::core::exchange::attributes::Capture::new("http.request.header.", names);
                self.with(|edge| edge.options.request_headers = capture)
            }

            /// Response headers recorded as `http.response.header.<name>`. Credentials are refused.
            #[must_use]
            pub fn capture_response_headers(self, names: impl IntoIterator<Item = http::HeaderName>) -> Self {
                let capture =
                    $crate::core::exchange::attributes::Capture::new("http.response.header.", names);
                self.with(|edge| edge.options.response_headers = capture)
            }
        }
    };
}
pub(super) use setters;
