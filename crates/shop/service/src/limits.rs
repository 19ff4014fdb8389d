//! What one listener puts up with.

use waypost_settings::{ByteSize, Duration, settings};

use crate::network::Network;

settings! {
    /// Limits of one listener, over all of its connections. Everything an outsider can send is bounded here or
    /// in the router behind it.
    pub struct Limits {
        /// Connections open at once; further ones are closed at once.
        pub connections: usize = 4096,
        /// Connections open at once from one address.
        pub connections_per_address: usize = 512,
        /// Reverse proxies and load balancers: the limit per address does not bind them, as many clients are behind each.
        /// Those that the gateway trusts are among them without being named here. Addresses, or networks such as `10.0.0.0/8`.
        pub proxies: Vec<Network> = Vec::new(),
        /// Whether the limit per address also binds loopback. Off, so that a load run on this machine measures
        /// orders and not this limit.
        pub limit_loopback: bool = false,
        /// Time to send a request's headers, from their first byte on; for the first request from when the connection is
        /// made.
        pub header_timeout: Duration = Duration::from_secs(5),
        /// Time that an HTTP/1 connection may stay idle between requests. Longer than load balancers keep theirs (60 s by
        /// default), or they send a request over a connection that is being closed here.
        pub keep_alive: Duration = Duration::from_secs(75),
        /// Time that a peer may leave what is sent to it unread, without taking a single byte; then its connection ends.
        pub write_timeout: Duration = Duration::from_secs(30),
        /// Headers of one HTTP/1 request; more are answered 431.
        pub headers: usize = 64,
        /// Bytes of one HTTP/1 request head (at least 8 KiB); more are answered 431. Also the read buffer of a
        /// connection, so it bounds memory.
        pub head_size: ByteSize = ByteSize::kib(16),
        /// Requests at once on one HTTP/2 connection.
        pub streams: u32 = 256,
        /// Bytes of the header list of one HTTP/2 request.
        pub header_list_size: ByteSize = ByteSize::kib(16),
        /// Streams that an HTTP/2 peer may open and reset before they are accepted; more end the connection
        /// (rapid reset, CVE-2023-44487).
        pub pending_resets: usize = 20,
        /// Streams that this side may reset because of an HTTP/2 peer's errors; more end the connection
        /// (MadeYouReset, CVE-2025-8671).
        pub error_resets: usize = 256,
        /// An HTTP/2 connection is pinged this often.
        pub ping_interval: Duration = Duration::from_secs(20),
        /// An HTTP/2 peer that does not answer a ping within this time is gone.
        pub ping_timeout: Duration = Duration::from_secs(10),
        /// An HTTP/2 connection without a request for this long is asked to leave (GOAWAY).
        pub idle_timeout: Duration = Duration::from_secs(300),
        /// Time for requests in flight to finish after a drain has started; then they are cut.
        pub grace: Duration = Duration::from_secs(10),
    }
}
