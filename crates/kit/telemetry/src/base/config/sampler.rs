//! Which traces are recorded, as a setting.

use serde::{Deserialize, Serialize};

/// Which traces are recorded; the names are those of `OTEL_TRACES_SAMPLER`.
///
/// ```
/// use waypost_telemetry::config::SamplerKind;
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let mut settings = TestTelemetry::settings("order-service");
/// settings.traces.sampler = SamplerKind::ParentBasedRatio;
/// settings.traces.ratio = 0.0;
/// let telemetry = TestTelemetry::with(settings);
/// telemetry.span("show").in_scope(|| ());
/// assert!(telemetry.finished_spans().is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SamplerKind {
    /// Every span.
    #[serde(rename = "always_on")]
    AlwaysOn,
    /// No span.
    #[serde(rename = "always_off")]
    AlwaysOff,
    /// A share of the traces, whatever the parent says.
    #[serde(rename = "traceidratio")]
    Ratio,
    /// As the parent; roots always.
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// As the parent; roots never.
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// As the parent; a share of the roots.
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedRatio,
    /// As a Jaeger collector or agent says, whatever the parent says; see [`JaegerRemoteSettings`](super::JaegerRemoteSettings).
    #[serde(rename = "jaeger_remote")]
    JaegerRemote,
    /// As the parent; roots as a Jaeger collector or agent says.
    #[serde(rename = "parentbased_jaeger_remote")]
    ParentBasedJaegerRemote,
}

impl SamplerKind {
    /// Every kind with its name.
    pub(crate) const NAMES: [(&'static str, Self); 8] = [
        ("always_on", Self::AlwaysOn),
        ("always_off", Self::AlwaysOff),
        ("traceidratio", Self::Ratio),
        ("parentbased_always_on", Self::ParentBasedAlwaysOn),
        ("parentbased_always_off", Self::ParentBasedAlwaysOff),
        ("parentbased_traceidratio", Self::ParentBasedRatio),
        ("jaeger_remote", Self::JaegerRemote),
        ("parentbased_jaeger_remote", Self::ParentBasedJaegerRemote),
    ];

    pub(crate) fn follows_parent(self) -> bool {
        matches!(
            self,
            Self::ParentBasedAlwaysOn
                | Self::ParentBasedAlwaysOff
                | Self::ParentBasedRatio
                | Self::ParentBasedJaegerRemote
        )
    }

    /// Whether the share of the roots is asked for.
    pub(crate) fn asks_jaeger(self) -> bool {
        matches!(self, Self::JaegerRemote | Self::ParentBasedJaegerRemote)
    }

    /// The share of the roots that is recorded; `ratio` where it is not fixed, and until it was asked for.
    pub(crate) fn share(self, ratio: f64) -> f64 {
        match self {
            Self::AlwaysOn | Self::ParentBasedAlwaysOn => 1.0,
            Self::AlwaysOff | Self::ParentBasedAlwaysOff => 0.0,
            Self::Ratio | Self::ParentBasedRatio | Self::JaegerRemote | Self::ParentBasedJaegerRemote => {
                ratio
            }
        }
    }
}
