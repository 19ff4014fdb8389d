//! What a target may look like.

#[cfg(unix)]
use std::path::PathBuf;

use http::Uri;

use super::ChannelError;

/// Whom a channel reaches.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// `http://host:port` or `https://host:port`: one connection.
    One(Uri),
    /// `unix:path` or `unix:///path`: one connection to a Unix-domain socket.
    #[cfg(unix)]
    Socket(PathBuf),
    /// `dns:///host:port`: a connection to each address of the name.
    Name { host: String, port: u16 },
}

impl Target {
    pub(super) fn read(target: &str) -> Result<Self, ChannelError> {
        let incomplete = || ChannelError::Incomplete { target: target.to_owned() };
        if let Some(authority) = target.strip_prefix("dns:///") {
            let (host, port) = authority.rsplit_once(':').ok_or_else(incomplete)?;
            let port = port.parse().map_err(|_| incomplete())?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if host.is_empty() || host.contains(['/', ',', '@']) {
                return Err(incomplete());
            }
            return Ok(Self::Name { host: host.to_owned(), port });
        }
        #[cfg(unix)]
        if let Some(path) = target.strip_prefix("unix:") {
            let path = match path.strip_prefix("//") {
                Some(absolute) if !absolute.starts_with('/') => return Err(incomplete()),
                Some(absolute) => absolute,
                None => path,
            };
            return if path.is_empty() { Err(incomplete()) } else { Ok(Self::Socket(path.into())) };
        }
        let invalid = |source| ChannelError::InvalidUri { target: target.to_owned(), source };
        let uri: Uri = target.parse().map_err(invalid)?;
        if uri.scheme().is_none() || uri.host().is_none_or(str::is_empty) {
            return Err(incomplete());
        }
        Ok(Self::One(uri))
    }

    /// The same with a scheme, for `:scheme` and for `server.address`.
    pub(super) fn uri(&self, is_secured: bool) -> Option<Uri> {
        match self {
            Self::One(uri) => Some(uri.clone()),
            #[cfg(unix)]
            Self::Socket(_) => Some(Uri::from_static("http://localhost")),
            Self::Name { host, port } => {
                let scheme = if is_secured { "https" } else { "http" };
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                format!("{scheme}://{host}:{port}").parse().ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_from_the_others() {
        let name = |target| match Target::read(target) {
            Ok(target @ Target::Name { .. }) => target.uri(false).unwrap().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("dns:///stock:9092"), "http://stock:9092/");
        assert_eq!(name("dns:///[::1]:9092"), "http://[::1]:9092/");
        assert!(matches!(Target::read("http://stock:9092"), Ok(Target::One(_))));
        let socket = |target| match Target::read(target) {
            Ok(Target::Socket(path)) => path.display().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(socket("unix:/run/stock.sock"), "/run/stock.sock");
        assert_eq!(socket("unix:///run/stock.sock"), "/run/stock.sock");
        assert_eq!(socket("unix:stock.sock"), "stock.sock");
        for target in ["unix:", "unix://", "unix://host/run/stock.sock"] {
            assert!(matches!(Target::read(target), Err(ChannelError::Incomplete { .. })), "{target}");
        }
        for target in ["stock:9092", "dns:///stock", "dns:///:1", "dns:///stock:x", "dns:///a/b:1", "/"] {
            assert!(matches!(Target::read(target), Err(ChannelError::Incomplete { .. })), "{target}");
        }
    }
}
