//! What an operator can set.

use waypost_settings::{Duration, Ratio, settings};

settings! {
    /// The simulated payment provider.
    pub struct Config {
        /// What goes wrong, and how often.
        pub faults: FaultConfig = FaultConfig::default(),
        /// How long the answer to an idempotency key is remembered. Must be longer than a client repeats a request.
        pub request_retention: Duration = Duration::from_secs(30 * 24 * 3600),
        /// How often answers are looked for that need not be remembered any more.
        pub retention_interval: Duration = Duration::from_secs(60),
    }
}

settings! {
    /// Faults of the provider. The payment methods `pm_card_declined`, `pm_card_slow`, `pm_card_timeout_before` and
    /// `pm_card_timeout_after` have theirs always; these settings add faults for every payment method.
    pub struct FaultConfig {
        /// Added to every answer.
        pub latency: Duration = Duration::from_millis(0),
        /// Share of new charges that are declined with `card_declined`.
        pub decline_rate: Ratio = Ratio::ZERO,
        /// Share of requests that fail with 500 before anything is written.
        pub error_rate: Ratio = Ratio::ZERO,
        /// How long a charge with `pm_card_slow` takes.
        pub slow: Duration = Duration::from_millis(1500),
        /// How long an answer that is "lost" is held back; longer than any client waits.
        pub hang: Duration = Duration::from_secs(10),
    }
}
