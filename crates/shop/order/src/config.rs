//! What an operator can set.

use waypost_resilience::grpc::check_target;
use waypost_service::GrpcLimits;
use waypost_settings::{Complaint, Duration, settings};

settings! {
    /// The order service.
    pub struct Config {
        /// Where the inventory service is called: `http://host:port`, `unix:/path`, several with commas between, `dns:///host:port` or
        /// `etcd:///name`; see `[discovery]`.
        pub inventory_target: String = "http://127.0.0.1:9092".to_owned(),
        /// Where the payment service is called, in the same forms.
        pub payment_target: String = "http://127.0.0.1:9093".to_owned(),
        /// Sees to stock and payment side by side; otherwise first to the stock, then to the payment.
        pub parallel_checks: bool = true,
        /// How long a caller without a deadline waits for an order's end before it is told how the order stands.
        pub max_wait: Duration = Duration::from_secs(10),
        /// What is kept back of a caller's deadline, so that the answer still arrives.
        pub answer_margin: Duration = Duration::from_millis(100),
        /// What is kept back besides for each caller that waits already, so that those whose time ends at the same moment are
        /// answered one after the other; at least twice what it took to accept the order, and at most half of the time left.
        pub answer_spacing: Duration = Duration::from_millis(5),
        /// How long stock is held for an order. Must be longer than an order may take.
        pub hold_time: Duration = Duration::from_secs(900),
        /// How long a price of the catalogue is remembered. A change is noticed at the reservation all the same.
        pub price_time_to_live: Duration = Duration::from_secs(30),
        /// How many prices are remembered.
        pub price_capacity: usize = 1024,
        /// How often the steps of an order are repeated, and how long they may take.
        pub steps: Steps = Steps::default(),
        /// Orders that are worked on at once; further ones are refused.
        pub max_running: usize = 4096,
        /// How long an order belongs to this process without a sign of life, before another takes it over.
        pub lease: Duration = Duration::from_secs(15),
        /// How often orders are looked for that nobody works on.
        pub sweep_interval: Duration = Duration::from_secs(1),
        /// When an order is tried again whose undoing kept failing. Doubled with each further time.
        pub stuck_retry: Duration = Duration::from_secs(30),
        /// Longest pause until such an order is tried again.
        pub max_stuck_retry: Duration = Duration::from_secs(3600),
        /// How often old idempotency keys are forgotten.
        pub key_purge_interval: Duration = Duration::from_secs(600),
        /// How long the journal of an order is kept that has ended: what was done for it, step by step.
        pub journal_retention: Duration = Duration::from_secs(30 * 24 * 3600),
        /// How long an order that has ended is kept, with its history and, at the longest, its idempotency key.
        pub order_retention: Duration = Duration::from_secs(10 * 365 * 24 * 3600),
        /// How often journals and orders are looked for that need not be kept any more.
        pub retention_interval: Duration = Duration::from_secs(60),
        /// How long events that the broker has are kept in the outbox, to look at.
        pub outbox_retention: Duration = Duration::from_secs(600),
        /// Limits of the gRPC interface.
        pub grpc: GrpcLimits = GrpcLimits::default(),
    }
}

settings! {
    /// How the steps of an order are repeated.
    pub struct Steps {
        /// Tries of one step before it is given up and undone. From the capture on a step is never given up.
        pub attempts: u32 = 6,
        /// Time for all tries of one step.
        pub budget: Duration = Duration::from_secs(20),
        /// Time for one try.
        pub attempt_timeout: Duration = Duration::from_secs(5),
        /// Pause after the first failed try; doubled with each further one.
        pub first_pause: Duration = Duration::from_millis(50),
        /// Longest pause between two tries.
        pub max_pause: Duration = Duration::from_secs(2),
        /// Tries of undoing a step before the order is parked.
        pub undo_attempts: u32 = 8,
    }
}

impl Config {
    /// Rules that the types cannot state. To be asked before anything is bound.
    pub fn check(&self) -> Vec<Complaint> {
        let targets =
            [("inventory_target", &self.inventory_target), ("payment_target", &self.payment_target)];
        let unusable = |(key, target): (&'static str, &String)| {
            check_target(target).err().map(|error| Complaint::new(key, error.to_string()))
        };
        targets.into_iter().filter_map(unusable).collect()
    }
}
