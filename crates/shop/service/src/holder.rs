//! Who listens on a port, as far as Linux lets this user see: `/proc/net/tcp` names the socket's inode,
//! `/proc/<pid>/fd` who has it open. On other systems nobody is named.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// `st` of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)
    }
}

/// The holder of `address`, or of the same port on all addresses.
pub(crate) fn of(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().filter_map(|table| fs::read_to_string(table).ok()).find_map(|table| {
        table
            .lines()
            .skip(1)
            .filter_map(listening)
            .find(|row| row.conflicts_with(address))
            .map(|row| row.inode)
    })?;
    process_with(inode)
}

/// A listening socket in the kernel's table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    address: SocketAddr,
    inode: u64,
}

impl Row {
    fn conflicts_with(&self, wanted: SocketAddr) -> bool {
        let overlaps = self.address.ip() == wanted.ip()
            || self.address.ip().is_unspecified()
            || wanted.ip().is_unspecified();
        self.address.port() == wanted.port() && overlaps
    }
}

/// Fields: `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...` (proc_net_tcp(5)).
fn listening(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTENING {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let address = SocketAddr::new(kernel_ip(ip)?, u16::from_str_radix(port, 16).ok()?);
    Some(Row { address, inode: fields.get(9)?.parse().ok()? })
}

/// An address as the kernel prints it: words of 32 bits in the machine's byte order.
fn kernel_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0_u8; 16];
            for (at, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(octets).to_canonical())
        }
        _ => None,
    }
}

fn process_with(inode: u64) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    let is_wanted = |fd: &Path| fs::read_link(fd).is_ok_and(|target| target.as_os_str() == wanted.as_str());
    let processes = fs::read_dir("/proc").ok()?.flatten();
    for process in processes {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Unreadable for another user's process, unless this is root.
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        if descriptors.flatten().any(|fd| is_wanted(&fd.path())) {
            let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder { pid, command: command.trim().to_owned() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_read_from_the_kernels_table() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 \
                    0000000000000000 100 0 0 10 0";
        let row = listening(line).unwrap();
        assert_eq!(row.inode, 4242);
        if cfg!(target_endian = "little") {
            assert_eq!(row.address, "127.0.0.1:8080".parse().unwrap());
        }
    }

    #[test]
    fn an_established_connection_is_not_a_holder() {
        let line = "   0: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000 0 0 4243 1 0 20 4 0 10 -1";
        assert_eq!(listening(line), None);
    }

    #[test]
    fn a_socket_on_all_addresses_conflicts_with_one_address() {
        let row = Row { address: "0.0.0.0:8080".parse().unwrap(), inode: 1 };
        assert!(row.conflicts_with("127.0.0.1:8080".parse().unwrap()));
        assert!(!row.conflicts_with("127.0.0.1:8081".parse().unwrap()));
    }
}
