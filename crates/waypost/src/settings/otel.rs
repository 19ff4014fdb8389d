//! The standard `OTEL_*` variables beside our own. The kit reads them and knows which setting each of them sets; here
//! they find their place among the layers: above the file and `WAYPOST_TELEMETRY__*`, below flags.

use waypost_settings::{Flag, Problems};
use waypost_telemetry::Settings as Telemetry;
use waypost_telemetry::config::FromVariable;

use super::Environment;

/// Lays the variables over `telemetry`, except where a flag has spoken. Returns which settings they set.
pub(super) fn overlay(
    telemetry: &mut Telemetry,
    environment: &Environment,
    flags: &[Flag],
) -> Result<Vec<FromVariable>, Problems> {
    let lookup = |variable: &str| environment.get(variable).map(str::to_owned);
    let is_flagged = |setting: &str| {
        let setting = format!("telemetry.{setting}");
        flags.iter().any(|flag| is_within(&flag.key, &setting) || is_within(&setting, &flag.key))
    };
    telemetry.overlay_env_except(&lookup, &is_flagged)
}

/// True when the key is the section or lies within it.
pub(super) fn is_within(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
