//! How many connections may be open, in all and from one address.

use crate::{Limits, Network, one_holder};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts open connections. Its memory is bounded by the cap on connections.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    cap: usize,
    cap_per_address: usize,
    limit_loopback: bool,
    proxies: Arc<[Network]>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Leave to have one connection open; given back on drop.
#[derive(Debug)]
pub(super) struct Permit {
    /// None of a process of this machine that has come by a Unix-domain socket, which no address bounds.
    address: Option<IpAddr>,
    open: Arc<Mutex<Open>>,
}

impl Admission {
    pub(super) fn new(limits: &Limits) -> Admission {
        Admission {
            cap: limits.connections,
            cap_per_address: limits.connections_per_address,
            limit_loopback: limits.limit_loopback,
            proxies: limits.proxies.clone().into(),
            open: Arc::default(),
        }
    }

    /// `None` when a cap is reached.
    pub(super) fn admit(&self, peer: Option<IpAddr>) -> Option<Permit> {
        let Some(peer) = peer else { return self.admit_local() };
        let address = one_holder(peer);
        let is_own = address.is_loopback() && !self.limit_loopback;
        // Behind a proxy are many clients; the proxy keeps each of them within bounds.
        let is_limited = !is_own && !self.proxies.iter().any(|proxy| proxy.contains(peer));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let from_address = open.by_address.get(&address).copied().unwrap_or_default();
        if open.total >= self.cap || (is_limited && from_address >= self.cap_per_address) {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, from_address + 1);
        Some(Permit { address: Some(address), open: Arc::clone(&self.open) })
    }

    fn admit_local(&self) -> Option<Permit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.cap {
            return None;
        }
        open.total += 1;
        Some(Permit { address: None, open: Arc::clone(&self.open) })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        let Some(address) = &self.address else { return };
        if let Some(count) = open.by_address.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, connections_per_address: usize) -> Admission {
        Admission::new(&Limits { connections, connections_per_address, ..Limits::default() })
    }

    #[test]
    fn one_address_cannot_take_every_connection() {
        let admission = admission(3, 2);
        let greedy = "203.0.113.7".parse().unwrap();
        let _held = [admission.admit(Some(greedy)).unwrap(), admission.admit(Some(greedy)).unwrap()];
        assert!(admission.admit(Some(greedy)).is_none());
        assert!(admission.admit(Some("203.0.113.8".parse().unwrap())).is_some());
    }

    #[test]
    fn a_reverse_proxy_is_not_taken_for_one_client() {
        let proxies = vec!["10.0.0.1".parse().unwrap()];
        let limits = Limits { connections: 3, connections_per_address: 1, proxies, ..Limits::default() };
        let admission = Admission::new(&limits);
        // As a listener for both families sees it.
        let proxy = "::ffff:10.0.0.1".parse().unwrap();
        let _held = [admission.admit(Some(proxy)).unwrap(), admission.admit(Some(proxy)).unwrap()];
        let neighbour = admission.admit(Some("10.0.0.2".parse().unwrap())).unwrap();
        assert!(admission.admit(Some(proxy)).is_none(), "the limit of all connections binds it");
        drop(neighbour);
        assert!(admission.admit(Some(proxy)).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let admission = admission(3, 1);
        let _held = admission.admit(Some("2001:db8::1".parse().unwrap())).unwrap();
        assert!(admission.admit(Some("2001:db8::2".parse().unwrap())).is_none());
        assert!(admission.admit(Some("2001:db8:0:1::1".parse().unwrap())).is_some());
    }

    #[test]
    fn a_closed_connection_makes_room_and_leaves_no_trace() {
        let admission = admission(1, 1);
        let peer = "203.0.113.7".parse().unwrap();
        drop(admission.admit(Some(peer)).unwrap());
        assert!(admission.open.lock().unwrap().by_address.is_empty());
        assert!(admission.admit(Some(peer)).is_some());
    }

    #[test]
    fn processes_of_this_machine_share_the_cap_of_all_connections_alone() {
        let admission = admission(2, 1);
        let held = [admission.admit(None).unwrap(), admission.admit(None).unwrap()];
        assert!(admission.admit(None).is_none() && admission.admit(Some([203, 0, 113, 7].into())).is_none());
        drop(held);
        assert!(admission.admit(None).is_some());
    }
}
