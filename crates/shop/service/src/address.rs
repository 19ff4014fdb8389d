//! Where a role listens: an address of this machine, or a Unix-domain socket.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `127.0.0.1:9090`, or `unix:/run/waypost/order.sock`. A path without a slash before it begins in the folder that the
/// process was started in.
///
/// ```
/// use waypost_service::ListenAddress;
///
/// let socket: ListenAddress = "unix:///run/waypost/order.sock".parse()?;
/// assert_eq!(socket.to_string(), "unix:/run/waypost/order.sock");
/// assert_eq!(socket.tcp(), None);
/// let tcp: ListenAddress = "[::1]:9090".parse()?;
/// assert_eq!(tcp.tcp().map(|address| address.port()), Some(9090));
/// assert!("unix:".parse::<ListenAddress>().is_err() && "localhost:9090".parse::<ListenAddress>().is_err());
/// # Ok::<(), waypost_service::NoListenAddress>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// For this host or others, as the address says.
    Tcp(SocketAddr),
    /// For this host, and there for those who may write to the file.
    Unix(PathBuf),
}

/// What is no address to listen at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither an address with a port such as \"127.0.0.1:9090\" nor a socket such as \"unix:/run/order.sock\""
)]
pub struct NoListenAddress(String);

impl ListenAddress {
    /// The address, unless it is a Unix-domain socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    /// How a client of this machine calls what listens here: `http://` and the address, with loopback in place of an
    /// unspecified one, or `unix:` and the path.
    pub fn target(&self) -> String {
        match self {
            ListenAddress::Tcp(address) => url(*address),
            ListenAddress::Unix(path) => target_of(path),
        }
    }
}

/// `http://` and the address, for a client on this machine: an unspecified address becomes loopback.
pub(crate) fn url(mut address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(std::net::Ipv6Addr::LOCALHOST.into());
        }
        _ => {}
    }
    format!("http://{address}")
}

pub(crate) fn target_of(path: &Path) -> String {
    format!("unix:{}", path.display())
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Tcp(address)
    }
}

impl<I: Into<std::net::IpAddr>> From<(I, u16)> for ListenAddress {
    fn from(address: (I, u16)) -> ListenAddress {
        ListenAddress::Tcp(address.into())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => f.write_str(&target_of(path)),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    fn from_str(text: &str) -> Result<ListenAddress, NoListenAddress> {
        let unusable = || NoListenAddress(text.to_owned());
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().map(ListenAddress::Tcp).map_err(|_| unusable());
        };
        let path = match path.strip_prefix("//") {
            Some(absolute) if !absolute.starts_with('/') => return Err(unusable()),
            Some(absolute) => absolute,
            None => path,
        };
        if path.is_empty() { Err(unusable()) } else { Ok(ListenAddress::Unix(path.into())) }
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
