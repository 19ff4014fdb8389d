//! What an operator can set.

use waypost_service::GrpcLimits;
use waypost_settings::{Duration, settings};

settings! {
    /// The inventory service.
    pub struct Config {
        /// Puts the demo products in, once; what is there already is left as it is.
        pub seed: bool = false,
        /// How long a hold lasts when the order does not say. Must be longer than an order may take.
        pub hold_time: Duration = Duration::from_secs(300),
        /// The longest hold that an order can ask for; a longer wish is shortened.
        pub max_hold_time: Duration = Duration::from_secs(3600),
        /// How often holds that have run out are looked for and given back.
        pub sweep_interval: Duration = Duration::from_secs(1),
        /// How many of them are given back in one transaction.
        pub sweep_batch: u32 = 100,
        /// How long holds are kept that have ended. Must be longer than an order can be under way.
        pub hold_retention: Duration = Duration::from_secs(365 * 24 * 3600),
        /// How often holds are looked for that need not be kept any more.
        pub retention_interval: Duration = Duration::from_secs(60),
        /// Limits of the gRPC interface.
        pub grpc: GrpcLimits = GrpcLimits::default(),
    }
}
