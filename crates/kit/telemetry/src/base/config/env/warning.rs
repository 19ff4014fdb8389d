//! What is said of a variable that could not be taken as it stands.

use std::fmt;

/// A variable that was ignored, in whole or in part.
///
/// ```
/// let mut settings = waypost_telemetry::Settings::new("order-service");
/// settings.overlay_env(&|name| (name == "OTEL_PROPAGATORS").then(|| "b4".to_owned()))?;
/// let warning = &settings.warnings[0];
/// assert_eq!((warning.variable.as_str(), warning.value.as_str()), ("OTEL_PROPAGATORS", "b4"));
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its name.
    pub variable: String,
    /// Its value; `***` if it may be secret.
    pub value: String,
    /// What is wrong with it, as a sentence without its subject.
    pub reason: String,
    /// What is used instead, in the words of the variable; `None` where there is nothing to use.
    pub used: Option<String>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, value, reason, used } = self;
        write!(f, "{variable}={value:?} {reason}")?;
        used.as_ref().map_or(Ok(()), |used| write!(f, "; {used} is used"))
    }
}
