//! Strategies of a Jaeger collector or agent, as its HTTP interface gives them:
//! <https://www.jaegertracing.io/docs/latest/architecture/sampling/>.
//!
//! Read here, fetched by the export thread. Numbers out of their range are taken to its end, as Jaeger's own clients do; an
//! answer that cannot be read changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

use super::bucket::TokenBucket;
use super::{ComposableSampler, Intent, SpanStart};

/// Operations that one answer may name; further ones are as those it does not name.
const MAX_OPERATIONS: usize = 2_000;

/// An answer that is no strategy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StrategyError {
    /// It is not what the interface has.
    #[error("the answer is no sampling strategy: {0}")]
    Json(#[from] serde_json::Error),
    /// It names a type and does not have it.
    #[error("the answer has no strategy of the type that it names")]
    Missing,
}

/// The strategy in force; `None` until the first answer. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strategies(Arc<RwLock<Option<Arc<Strategy>>>>);

impl Strategies {
    /// Takes an answer over. One that says the same as the last leaves the rates where they are.
    #[cfg_attr(not(feature = "jaeger-remote"), expect(dead_code, reason = "nobody asks"))]
    pub(crate) fn update(&self, answer: &[u8]) -> Result<(), StrategyError> {
        let answer: Answer = serde_json::from_slice(answer)?;
        if self.current().is_some_and(|current| current.answer == answer) {
            return Ok(());
        }
        let strategy = Arc::new(Strategy::of(answer).ok_or(StrategyError::Missing)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(strategy);
        Ok(())
    }

    /// What the strategy in force intends.
    pub(super) fn intent(&self, span: &SpanStart<'_>) -> Option<Intent> {
        self.current().map(|strategy| strategy.intent(span))
    }

    fn current(&self) -> Option<Arc<Strategy>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    strategy_type: Option<StrategyType>,
    probabilistic_sampling: Option<Probabilistic>,
    rate_limiting_sampling: Option<RateLimiting>,
    operation_sampling: Option<OperationSampling>,
}

/// A name, or its number in the interface's definition.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum StrategyType {
    Name(TypeName),
    Number(u8),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TypeName {
    Probabilistic,
    RateLimiting,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Probabilistic {
    sampling_rate: f64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct RateLimiting {
    max_traces_per_second: f64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct OperationSampling {
    default_sampling_probability: f64,
    default_lower_bound_traces_per_second: f64,
    per_operation_strategies: Vec<OfOperation>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct OfOperation {
    operation: String,
    probabilistic_sampling: Probabilistic,
}

#[derive(Debug)]
struct Strategy {
    answer: Answer,
    sampler: Kind,
}

#[derive(Debug)]
enum Kind {
    Ratio(f64),
    Rate(TokenBucket),
    PerOperation { known: HashMap<String, Guaranteed>, otherwise: Guaranteed },
}

/// A share, and a rate below which it does not fall.
#[derive(Debug)]
struct Guaranteed {
    ratio: f64,
    at_least: TokenBucket,
}

impl Strategy {
    /// Operations come first, as in Jaeger's clients; then the type that is named.
    fn of(answer: Answer) -> Option<Self> {
        let is_rate = matches!(
            answer.strategy_type,
            Some(StrategyType::Name(TypeName::RateLimiting) | StrategyType::Number(1))
        );
        let sampler = match &answer {
            Answer { operation_sampling: Some(operations), .. } => Kind::per_operation(operations),
            Answer { rate_limiting_sampling: Some(limit), .. } if is_rate => {
                Kind::Rate(TokenBucket::per_second(limit.max_traces_per_second))
            }
            Answer { probabilistic_sampling: Some(share), .. } if !is_rate => {
                Kind::Ratio(share.sampling_rate)
            }
            _ => return None,
        };
        Some(Self { answer, sampler })
    }

    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        match &self.sampler {
            Kind::Ratio(ratio) => Intent::ratio(*ratio),
            Kind::Rate(bucket) => {
                let intent = Intent::always().unreliable();
                if bucket.take() { intent } else { intent.refused() }
            }
            Kind::PerOperation { known, otherwise } => known.get(span.name).unwrap_or(otherwise).intent(span),
        }
    }
}

impl Kind {
    fn per_operation(operations: &OperationSampling) -> Self {
        let guaranteed = |ratio: f64| Guaranteed {
            ratio,
            at_least: TokenBucket::per_second(operations.default_lower_bound_traces_per_second),
        };
        let named = operations.per_operation_strategies.iter().take(MAX_OPERATIONS);
        let known = named
            .map(|named| (named.operation.clone(), guaranteed(named.probabilistic_sampling.sampling_rate)));
        Self::PerOperation {
            known: known.collect(),
            otherwise: guaranteed(operations.default_sampling_probability),
        }
    }
}

impl ComposableSampler for Guaranteed {
    /// What the share takes uses up the rate as well.
    fn intent(&self, span: &SpanStart<'_>) -> Intent {
        let intent = Intent::ratio(self.ratio);
        let has_token = self.at_least.take();
        if has_token && !intent.takes(span.randomness) { Intent::always().unreliable() } else { intent }
    }
}
