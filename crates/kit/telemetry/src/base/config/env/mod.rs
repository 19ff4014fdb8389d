//! The standard `OTEL_*` variables, as the specification has them.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>. For programs that start in
//! a platform's environment, of which they know nothing. Invariant: no variable stops the program. What cannot be
//! read, or is not had here, is left out with a [`Warning`] that says what is used instead; an empty variable is as
//! good as absent. One exception is the specification's: the file that `OTEL_CONFIG_FILE` names must be usable.
//!
//! Every variable of the specification stands in one table ([`table`]), read or ignored with a reason; the
//! documentation is made from it. Beside the standard ones only `RUST_LOG` is read.

#[cfg(feature = "config-file")]
mod declarative;
mod kinds;
mod otlp;
mod overlay;
mod pem;
mod table;
mod warning;

use super::{Settings, SettingsError};
use overlay::Overlay;
pub use table::environment_table;
pub use warning::Warning;

/// A setting that a variable set.
///
/// ```
/// use waypost_telemetry::Settings;
///
/// let mut settings = Settings::new("order-service");
/// let lookup = |name: &str| (name == "OTEL_BSP_MAX_QUEUE_SIZE").then(|| "4096".to_owned());
/// let set = settings.overlay_env_except(&lookup, &|_| false)?;
/// assert_eq!((set[0].variable, set[0].setting), ("OTEL_BSP_MAX_QUEUE_SIZE", "traces.batch.queue_size"));
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromVariable {
    /// For example `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub variable: &'static str,
    /// For example `traces.batch.queue_size`.
    pub setting: &'static str,
}

impl Settings {
    /// The specification's defaults ([`Settings::standard`]) with the variables of the process over them; the
    /// service is `unknown_service:` and the executable if no variable names it.
    ///
    /// ```
    /// let settings = waypost_telemetry::Settings::from_env()?;
    /// assert!(!settings.service_name.is_empty());
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::standard(super::unknown_service()).with_env()
    }

    /// These settings with the variables of the process over them.
    ///
    /// An error only if `OTEL_CONFIG_FILE` names a file that cannot be used. Anything else that is wrong with a
    /// variable is among [`Settings::warnings`], which [`crate::init()`] logs.
    ///
    /// ```
    /// let settings = waypost_telemetry::Settings::new("order-service").with_env()?;
    /// let telemetry = waypost_telemetry::init(settings)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_env(mut self) -> Result<Self, SettingsError> {
        self.overlay_env(&|name| std::env::var(name).ok())?;
        Ok(self)
    }

    /// Logs [`Settings::warnings`] through `tracing` and forgets them. [`crate::init()`] does this.
    ///
    /// ```
    /// let mut settings = waypost_telemetry::Settings::new("order-service");
    /// settings.overlay_env(&|name| (name == "OTEL_PROPAGATORS").then(|| "ottrace".to_owned()))?;
    /// assert_eq!(settings.warnings.len(), 1);
    /// settings.log_warnings();
    /// assert!(settings.warnings.is_empty());
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    pub fn log_warnings(&mut self) {
        for warning in self.warnings.drain(..) {
            tracing::warn!(target: "waypost_telemetry", "{warning}");
        }
    }

    /// As [`Settings::with_env`], with the variables from a look-up. After an error the settings are as before.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let mut settings = Settings::new("order-service");
    /// settings.overlay_env(&|name| match name {
    ///     "OTEL_TRACES_SAMPLER" => Some("ParentBased_TraceIdRatio".to_owned()),
    ///     "OTEL_TRACES_SAMPLER_ARG" => Some("0.1".to_owned()),
    ///     "OTEL_BSP_SCHEDULE_DELAY" => Some("5s".to_owned()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(settings.traces.ratio, 0.1);
    /// assert_eq!(
    ///     settings.warnings[0].to_string(),
    ///     "OTEL_BSP_SCHEDULE_DELAY=\"5s\" is not a whole number of milliseconds; 1000 is used"
    /// );
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    pub fn overlay_env(&mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
        self.overlay_env_except(lookup, &|_| false).map(drop)
    }

    /// As [`Settings::overlay_env`] for a program with layers above the environment: settings that `is_fixed` stay
    /// as they are. Returns what the variables set.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let mut settings = Settings::new("order-service");
    /// let lookup = |name: &str| (name == "OTEL_SERVICE_NAME").then(|| "renamed".to_owned());
    /// // A command line argument said what the service is called.
    /// let set = settings.overlay_env_except(&lookup, &|setting| setting == "service_name")?;
    /// assert!(set.is_empty());
    /// assert_eq!(settings.service_name, "order-service");
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    pub fn overlay_env_except(
        &mut self,
        lookup: &dyn Fn(&str) -> Option<String>,
        is_fixed: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<FromVariable>, SettingsError> {
        let mut overlay = Overlay::new(self.clone(), lookup, is_fixed);
        overlay.apply()?;
        *self = overlay.settings;
        Ok(overlay.given)
    }
}
