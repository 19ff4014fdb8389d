//! What an operator can set.

use crate::{domain::ReviewTimes, provider::connect};
use std::path::PathBuf;
use waypost_service::GrpcLimits;
use waypost_settings::{ByteSize, Complaint, Duration, settings};

settings! {
    /// The payment service.
    pub struct Config {
        /// The payment provider.
        pub provider: ProviderConfig = ProviderConfig::default(),
        /// When payments that have not ended are looked into.
        pub review: ReviewConfig = ReviewConfig::default(),
        /// How long payments that have ended are kept, with their refunds and their part of the ledger; sums of it stay. Must
        /// be longer than orders are kept, as what is not there any more cannot be refunded.
        pub retention: Duration = Duration::from_secs(11 * 365 * 24 * 3600),
        /// How often payments are looked for that need not be kept any more.
        pub retention_interval: Duration = Duration::from_secs(60),
        /// Limits of the gRPC interface.
        pub grpc: GrpcLimits = GrpcLimits::default(),
    }
}

settings! {
    /// How the payment provider is reached.
    pub struct ProviderConfig {
        /// Where it is: `http://host:port`, or `https://host:port`, when its certificate has to be for that host.
        pub url: String = "http://127.0.0.1:9095".to_owned(),
        /// A file with the certificates (PEM) of the authorities that are trusted for `https://`, instead of the system's. Read
        /// at the start.
        pub ca_file: Option<PathBuf> = None,
        /// Longest wait for one answer; less when the caller's deadline is nearer.
        pub timeout: Duration = Duration::from_secs(2),
        /// Longest wait for a connection.
        pub connect_timeout: Duration = Duration::from_secs(1),
        /// What is kept of the caller's deadline to write down how the call went.
        pub margin: Duration = Duration::from_millis(50),
        /// Bytes of one answer; a longer one is not believed.
        pub answer_size: ByteSize = ByteSize::kib(64),
        /// Connections that are kept for the next call.
        pub idle_connections: usize = 256,
        /// How long they are kept.
        pub idle_timeout: Duration = Duration::from_secs(30),
    }
}

impl ProviderConfig {
    /// Rules that the types cannot state. To be asked before anything is bound.
    pub fn check(&self) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        if connect::address(&self.url).is_none() {
            let what = format!("{:?} is not http://host:port or https://host:port", self.url);
            complaints.push(Complaint::new("url", what));
        } else if self.ca_file.is_some() && !connect::is_secured(&self.url) {
            complaints.push(Complaint::new("ca_file", "is for an https:// address, which `url` is not"));
        }
        complaints
    }
}

settings! {
    /// When payments that have not ended are looked into.
    pub struct ReviewConfig {
        /// How often what is due is looked for.
        pub interval: Duration = Duration::from_secs(1),
        /// Payments and refunds of one round.
        pub batch: u32 = 100,
        /// How many of them are looked into at once.
        pub at_once: usize = 8,
        /// How long an answer may be missing before the provider is asked. Longer than `provider.timeout`.
        pub unknown_after: Duration = ReviewTimes::default().unknown_after.into(),
        /// How long an authorisation may lie about before the provider is asked what became of it.
        pub authorized_after: Duration = ReviewTimes::default().authorized_after.into(),
        /// How long after a payment ended without a charge the provider is first asked whether one has come after all.
        /// The pauses grow from there.
        pub late_charge_after: Duration = ReviewTimes::default().late_charge_after.into(),
        /// How long after it was sent a request may still have its effect at the provider. For so long late charges are
        /// looked for, and a refund that was rejected after an unanswered try is not made anew.
        pub late_for: Duration = ReviewTimes::default().late_for.into(),
        /// A payment that the provider still knows nothing of after this time never happened.
        pub give_up_after: Duration = ReviewTimes::default().give_up_after.into(),
        /// The longest pause between two looks at the same payment.
        pub max_pause: Duration = ReviewTimes::default().max_pause.into(),
    }
}

impl ReviewConfig {
    /// As the rules take it.
    pub fn times(&self) -> ReviewTimes {
        ReviewTimes {
            unknown_after: self.unknown_after.get(),
            authorized_after: self.authorized_after.get(),
            late_charge_after: self.late_charge_after.get(),
            late_for: self.late_for.get(),
            give_up_after: self.give_up_after.get(),
            max_pause: self.max_pause.get(),
        }
    }
}
