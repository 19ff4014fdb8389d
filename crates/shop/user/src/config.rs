//! What an operator can set.

use waypost_service::{GrpcLimits, WhenAway};
use waypost_settings::{Duration, settings};

settings! {
    /// The user service.
    pub struct Config {
        /// Puts the demo users in, once; who is there already is left as they are.
        pub seed: bool = false,
        /// Users that are kept in memory.
        pub cache_capacity: u64 = 10_000,
        /// How long a copy of a user is used. A change is seen at once where the database is PostgreSQL, which tells of it, and
        /// after this time at the latest. With `cache.kind = "redis"` a quarter of it in memory, and the rest in Redis.
        pub cache_time: Duration = Duration::from_secs(30),
        /// Passwords that are hashed at once. Each takes 19 MiB and a core for its time.
        pub hashes_at_once: usize = 2,
        /// Wrong passwords for an account that one address may send at once; then each further attempt has to wait,
        /// first for `login_wait`, then twice as long every time. Other addresses notice nothing.
        pub login_failures: u32 = 10,
        /// The first wait after wrong passwords.
        pub login_wait: Duration = Duration::from_secs(1),
        /// Time without another wrong password after which those before are forgotten; also the longest wait.
        pub login_window: Duration = Duration::from_secs(900),
        /// What becomes of a login while Redis, where user services count wrong passwords together, cannot be asked: `open`
        /// lets this process count alone, `closed` answers 503. In memory they can always be counted.
        pub login_when_away: WhenAway = WhenAway::Open,
        /// Limits of the gRPC interface.
        pub grpc: GrpcLimits = GrpcLimits::default(),
    }
}
