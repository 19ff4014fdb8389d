//! One load of a missing value: its span and its measurement.

use std::borrow::Cow;
use std::future::Future;

use opentelemetry::{Context, KeyValue};

use super::{Cache, NAME};
use crate::base::attributes::ERROR_TYPE;
use crate::base::error::AsErrorType;
use crate::core::clock::Timer;
use crate::core::span::SpanBuilder;

/// Measured when it is dropped.
pub(super) struct Loading {
    cache: Cache,
    timer: Timer,
    failure: Option<Cow<'static, str>>,
}

impl Loading {
    pub(super) fn start(cache: &Cache) -> Self {
        // What is dropped or unwinds on the way was not loaded.
        let timer = cache.shared.telemetry.timer();
        Self { cache: cache.clone(), timer, failure: Some(Cow::Borrowed("cancelled")) }
    }

    pub(super) async fn run<T, E: AsErrorType>(
        mut self,
        load: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let shared = &self.cache.shared;
        let result = if shared.has_load_spans {
            let name = Cow::Owned(format!("load {}", shared.name));
            let span = SpanBuilder::new(shared.telemetry.clone(), Context::current(), name);
            span.attr(NAME, shared.name).run(load).await
        } else {
            load.await
        };
        self.failure = None;
        if let Err(error) = &result {
            error.with_error_type(&mut |error| self.failure = Some(error.error_type()));
        }
        result
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        let shared = &self.cache.shared;
        let mut labels = vec![KeyValue::new(NAME, shared.name)];
        labels.extend(self.failure.take().map(|class| KeyValue::new(ERROR_TYPE, class)));
        shared.loads.record(self.timer.elapsed().as_secs_f64(), &labels);
    }
}
