//! Addresses as those of somebody.

use std::net::{IpAddr, Ipv6Addr};

/// The address that stands for all that its holder may choose from: a customer with IPv6 has a /64. Loopback stands for
/// itself, and an IPv4 address is one however it is written.
///
/// ```
/// use waypost_service::one_holder;
///
/// assert_eq!(one_holder("2001:db8::1".parse()?), one_holder("2001:db8::2".parse()?));
/// assert_eq!(one_holder("::ffff:192.0.2.1".parse()?), "192.0.2.1".parse::<std::net::IpAddr>()?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn one_holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}
