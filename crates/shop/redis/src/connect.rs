//! From the settings to a connection, for each topology.

use std::path::Path;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionInfo, IntoConnectionInfo as _, Pipeline,
    RedisFuture, RedisResult, TlsCertificates, TlsMode, Value,
};

use crate::Error;
use crate::config::{Settings, Topology};

/// Servers and how to reach them.
#[derive(Debug)]
pub(crate) struct Servers {
    settings: Settings,
    nodes: Vec<ConnectionInfo>,
    certificates: TlsCertificates,
}

/// A connection that stands. Clones share it.
#[derive(Clone)]
pub(crate) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Servers {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let parse = |url: &String| {
            url.as_str()
                .into_connection_info()
                .map_err(|error| Error { setting: "urls", reason: error.to_string() })
        };
        let nodes = settings.urls.iter().map(parse).collect::<Result<_, _>>()?;
        let client = match (&settings.client_certificate_file, &settings.client_key_file) {
            (Some(certificate), Some(key)) => Some(ClientTlsConfig {
                client_cert: read("client_certificate_file", certificate)?,
                client_key: read("client_key_file", key)?,
            }),
            _ => None,
        };
        let root_cert = settings.ca_file.as_ref().map(|file| read("ca_file", file)).transpose()?;
        let certificates = TlsCertificates { client_tls: client, root_cert };
        if settings.uses_tls() {
            // The crate takes the provider of the process. Another one that is there is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let servers = Self { settings: settings.clone(), nodes, certificates };
        // A file that cannot be used is better told now than as a server that is away.
        servers.client(0, None).map_err(|error| Error { setting: "ca_file", reason: error.to_string() })?;
        Ok(servers)
    }

    /// The first address, for telemetry: all of a cluster are one name.
    pub(crate) fn name(&self) -> (String, u16) {
        match self.nodes.first().map(ConnectionInfo::addr) {
            Some(
                redis::ConnectionAddr::Tcp(host, port) | redis::ConnectionAddr::TcpTls { host, port, .. },
            ) => (host.clone(), *port),
            _ => (String::new(), 0),
        }
    }

    /// The addresses as they were written.
    pub(crate) fn urls(&self) -> String {
        self.settings.urls.join(", ")
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// A connection that has been asked something and has answered.
    pub(crate) async fn connect(&self) -> RedisResult<Connection> {
        let password = self.password().await?;
        let limit = self.settings.connect_timeout.get();
        // The crate's own time-outs are for each step and server.
        let steps = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).saturating_add(1);
        let whole = limit.saturating_mul(steps);
        let mut connection = within(whole, self.connect_by_topology(password)).await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await?;
        Ok(connection)
    }

    async fn connect_by_topology(&self, password: Option<String>) -> RedisResult<Connection> {
        match self.settings.topology {
            Topology::Single => self.connect_to_first(password).await.map(Connection::One),
            Topology::Cluster => {
                self.cluster(password)?.get_async_connection().await.map(Connection::Cluster)
            }
            Topology::Sentinel => self.connect_by_sentinel(password).await.map(Connection::One),
        }
    }

    /// The first that answers; else what the last one said.
    async fn connect_to_first(&self, password: Option<String>) -> RedisResult<MultiplexedConnection> {
        let mut outcome = Err((redis::ErrorKind::InvalidClientConfig, "no address is set").into());
        for place in 0..self.nodes.len() {
            let client = self.client(place, password.as_deref())?;
            outcome = client.get_multiplexed_async_connection_with_config(&self.timeouts()).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    async fn connect_by_sentinel(&self, password: Option<String>) -> RedisResult<MultiplexedConnection> {
        let Settings { username, master, database, .. } = &self.settings;
        let sentinels = self.nodes.iter().map(|node| node.addr().clone());
        let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
            .set_client_to_redis_db(i64::from(*database));
        if self.settings.uses_tls() {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure)
                .set_client_to_redis_certificates(self.certificates.clone())
                .set_client_to_sentinel_certificates(self.certificates.clone());
        }
        if let Some(password) = password {
            builder = builder.set_client_to_redis_password(password);
        }
        if !username.is_empty() {
            builder = builder.set_client_to_redis_username(username);
        }
        builder.build()?.get_async_connection_with_config(&self.timeouts()).await
    }

    fn cluster(&self, password: Option<String>) -> RedisResult<ClusterClient> {
        let mut builder = ClusterClientBuilder::new(self.nodes.clone())
            // Whoever asks has no time for another attempt.
            .retries(0)
            .connection_timeout(self.settings.connect_timeout.get())
            .response_timeout(self.settings.command_timeout.get());
        if self.settings.uses_tls() {
            builder = builder.tls(TlsMode::Secure).certs(self.certificates.clone());
        }
        if let Some(password) = password {
            builder = builder.password(password);
        }
        if !self.settings.username.is_empty() {
            builder = builder.username(&self.settings.username);
        }
        builder.build()
    }

    fn client(&self, place: usize, password: Option<&str>) -> RedisResult<Client> {
        let Some(node) = self.nodes.get(place) else {
            return Err((redis::ErrorKind::InvalidClientConfig, "no address is set").into());
        };
        let mut redis = node.redis_settings().clone().set_db(i64::from(self.settings.database));
        // Servers before 7.2 do not know it, and a user would need one more right.
        redis = redis.set_skip_set_lib_name();
        if !self.settings.username.is_empty() {
            redis = redis.set_username(&self.settings.username);
        }
        if let Some(password) = password {
            redis = redis.set_password(password);
        }
        let node = node.clone().set_redis_settings(redis);
        if self.settings.uses_tls() {
            Client::build_with_tls(node, self.certificates.clone())
        } else {
            Client::open(node)
        }
    }

    fn timeouts(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout.get()))
            .set_response_timeout(Some(self.settings.command_timeout.get()))
    }

    async fn password(&self) -> RedisResult<Option<String>> {
        let Some(file) = &self.settings.password_file else { return Ok(None) };
        let text = tokio::fs::read_to_string(file).await.map_err(|error| {
            let reason = format!("reading password_file {}: {error}", file.display());
            std::io::Error::new(error.kind(), reason)
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

fn read(setting: &'static str, file: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(file)
        .map_err(|error| Error { setting, reason: format!("{} cannot be read: {error}", file.display()) })
}

async fn within<T>(limit: Duration, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let elapsed = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(elapsed().into()))
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
