//! What an operator can set.

use waypost_settings::{Duration, Ratio, settings};

settings! {
    /// The simulated payment provider.
    pub struct Config {
        /// What goes wrong, and how often.
        pub faults: FaultConfig = FaultConfig::default(),
        /// How long the answer to an idempotency key is remembered. Must be longer than a client repeats a request.
        pub request_retention: Duration = Duration::from_secs(30 * 24 * 3600),
        /// How long charges are kept. Must be longer than anybody asks for one or gives money back.
        pub charge_retention: Duration = Duration::from_secs(11 * 365 * 24 * 3600),
        /// How often answers and charges are looked for that need not be kept any more.
        pub retention_interval: Duration = Duration::from_secs(60),
    }
}

settings! {
    /// Faults of the provider. The payment methods `pm_card_declined`, `pm_card_slow`, `pm_card_timeout_before` and
    /// `pm_card_timeout_after` have theirs always, and so has `pm_fault_<call>_<fault>` with one of `charge`, `capture`,
    /// `void`, `refund` and one of `lost_before`, `lost_after`, `late`, `repeated`, `401`, `404`, `409`, `500`; several are
    /// joined by `+` (`pm_fault_charge_late+void_409`). Such a fault meets the first request with a key. These settings add
    /// faults for every payment method.
    pub struct FaultConfig {
        /// Added to every answer.
        pub latency: Duration = Duration::from_millis(0),
        /// Share of new charges that are declined with `card_declined`.
        pub decline_rate: Ratio = Ratio::ZERO,
        /// Share of requests that fail with 500 before anything is written.
        pub error_rate: Ratio = Ratio::ZERO,
        /// Share of charges, captures, voids and refunds that get lost before anything is written.
        pub lost_before_rate: Ratio = Ratio::ZERO,
        /// Share of them that are carried out and whose answer gets lost.
        pub lost_after_rate: Ratio = Ratio::ZERO,
        /// Share of them that are not answered and carried out after `late`.
        pub late_rate: Ratio = Ratio::ZERO,
        /// Share of them that arrive twice.
        pub repeated_rate: Ratio = Ratio::ZERO,
        /// Share of them that are answered 409 before anything is written, as if one with the same key still ran.
        pub conflict_rate: Ratio = Ratio::ZERO,
        /// Share of them that are answered 401 before anything is written.
        pub unauthorized_rate: Ratio = Ratio::ZERO,
        /// Share of them that are answered 404 before anything is written.
        pub not_found_rate: Ratio = Ratio::ZERO,
        /// When work is done that is late. Meanwhile its key is answered 409.
        pub late: Duration = Duration::from_secs(120),
        /// How long a charge with `pm_card_slow` takes.
        pub slow: Duration = Duration::from_millis(1500),
        /// How long an answer that is "lost" is held back; longer than any client waits.
        pub hang: Duration = Duration::from_secs(10),
    }
}
