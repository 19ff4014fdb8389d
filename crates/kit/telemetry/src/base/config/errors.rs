//! How failures are recorded.

use serde::{Deserialize, Serialize};
use waypost_settings::settings;

settings! {
    /// What of a failure leaves the process, and how.
    ///
    /// ```
    /// use waypost_telemetry::config::{ErrorSettings, MessageRule};
    /// use waypost_telemetry::testing::TestTelemetry;
    ///
    /// let mut settings = TestTelemetry::settings("order-service");
    /// settings.errors = ErrorSettings { messages: MessageRule::Masked, ..ErrorSettings::default() };
    /// let telemetry = TestTelemetry::with(settings);
    /// let failure = std::io::Error::other("no room for anna@example.com");
    /// telemetry.span("place").in_scope(|| waypost_telemetry::record_error(&failure));
    /// assert_eq!(telemetry.finished_logs()[0].body(), "no room for ?");
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct ErrorSettings {
        /// How much of their texts is recorded, in spans, records and lines.
        pub messages: MessageRule = MessageRule::Full,
        /// Whether a failure is an event `exception` of its span too: for receivers that take no log records. The conventions
        /// advise against both.
        pub span_events: bool = false,
    }
}

/// How much of an error's text leaves the process.
///
/// ```
/// use waypost_telemetry::config::MessageRule;
///
/// let settings = waypost_telemetry::Settings::from_toml("[errors]\nmessages = \"type_only\"")?;
/// assert_eq!(settings.errors.messages, MessageRule::TypeOnly);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageRule {
    /// All of it.
    #[default]
    Full,
    /// Its words without numbers, ids, addresses and what stands in quotes: [`crate::error::masked`].
    Masked,
    /// Nothing: the type and the class say what it was.
    TypeOnly,
}
