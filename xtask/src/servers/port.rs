//! Free ports.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// So many different ports of 127.0.0.1 that are free at the moment.
pub(super) fn free<const N: usize>() -> io::Result<[u16; N]> {
    // All are bound before the first is given back, so that they differ.
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
