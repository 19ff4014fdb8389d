//! One connection to one member of the cluster.

use std::{sync::Arc, time::Duration};

use futures_util::stream::{self, Stream};
use http::{Uri, uri::Scheme};
use tokio::sync::mpsc;
use tonic::{
    Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{self, Channel, Endpoint},
};
use waypost_resilience::grpc::Address;

use crate::{
    Settings,
    proto::{
        AuthenticateRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
        LeaseRevokeRequest, PutRequest, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse,
        auth_client::AuthClient, kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient,
        watch_request::RequestUnion,
    },
    tls::Tls,
};

/// How long etcd has for an answer, and to show a sign of life while a stream is open.
const TIMEOUT: Duration = Duration::from_secs(3);

/// etcd did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No member is configured.
    #[error("no endpoint of etcd is configured")]
    NoEndpoint,
    /// The connection could not be made.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Where.
        endpoint: String,
        /// Why.
        #[source]
        source: transport::Error,
    },
    /// A file that the settings name cannot be used.
    #[error("{setting}: {reason}")]
    File {
        /// The setting, within its section: `ca_file`.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS cannot be used.
    #[error("no TLS to etcd: {0}")]
    Tls(String),
    /// The password cannot be read.
    #[error("cannot read the password of etcd's user from {file}")]
    Password {
        /// From where.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// etcd said no.
    #[error("etcd answers {:?}: {}", .0.code(), .0.message())]
    Refused(#[from] Status),
    /// A stream has ended: etcd restarts, or what was asked for is no more.
    #[error("etcd has ended the stream: {0}")]
    Ended(String),
    /// The lease has run out, and what stood under it is gone.
    #[error("the lease has run out")]
    LeaseLost,
}

pub(crate) struct Client {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Connects to the member whose turn it is, and logs in.
    pub(crate) async fn connect(settings: &Arc<Settings>, turn: u32) -> Result<Client, Error> {
        let count = settings.endpoints.len().max(1);
        let place = usize::try_from(turn).unwrap_or_default() % count;
        let endpoint = settings.endpoints.get(place).ok_or(Error::NoEndpoint)?;
        let failed = |source| Error::Connect { endpoint: endpoint.clone(), source };
        let member = Endpoint::from_shared(endpoint.clone()).map_err(failed)?;
        let channel = match read_tls(settings).await? {
            Some(tls) => secured(&member, tls).await,
            None => timed(member).connect().await,
        };
        let channel = channel.map_err(failed)?;
        let token = match &settings.password_file {
            Some(file) => {
                let unread = |source| Error::Password { file: file.display().to_string(), source };
                let password = tokio::fs::read_to_string(file).await.map_err(unread)?;
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                let request = AuthenticateRequest { name: settings.user.clone(), password };
                let answer = AuthClient::new(channel.clone()).authenticate(in_time(request)).await?;
                let token = answer.into_inner().token.parse();
                Some(token.map_err(|_| Status::internal("the token is no header"))?)
            }
            None => None,
        };
        Ok(Client { channel, token })
    }

    /// The values under a prefix, and the revision that they are of.
    pub(crate) async fn list(&self, prefix: &str) -> Result<(Arc<[Address]>, i64), Error> {
        let request = RangeRequest { key: prefix.into(), range_end: end_of(prefix) };
        let answer =
            KvClient::new(self.channel.clone()).range(self.named(in_time(request))).await?.into_inner();
        let uri = |value: &[u8]| Uri::try_from(value).ok().filter(|uri| uri.authority().is_some());
        // What is no URL was not written by a replica, and hides none.
        let found = answer.kvs.iter().filter_map(|entry| uri(&entry.value).map(Address::Http)).collect();
        Ok((found, answer.header.map_or(0, |header| header.revision)))
    }

    /// Changes under a prefix from a revision on.
    pub(crate) async fn watch(
        &self,
        prefix: &str,
        from: i64,
    ) -> Result<Open<WatchRequest, WatchResponse>, Error> {
        let create =
            WatchCreateRequest { key: prefix.into(), range_end: end_of(prefix), start_revision: from };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let (requests, stream) = requests();
        // Room for one was made.
        let _ = requests.try_send(request);
        let answers = WatchClient::new(self.channel.clone()).watch(self.named(Request::new(stream))).await?;
        Ok(Open { requests, answers: answers.into_inner() })
    }

    /// Writes a key that lives as long as its lease, which is returned.
    pub(crate) async fn put_leased(&self, key: &str, value: &str, seconds: i64) -> Result<i64, Error> {
        let grant = self.named(in_time(LeaseGrantRequest { ttl: seconds }));
        let granted = self.leases().lease_grant(grant).await?.into_inner();
        if !granted.error.is_empty() {
            return Err(Status::internal(granted.error).into());
        }
        let put = PutRequest { key: key.into(), value: value.into(), lease: granted.id };
        KvClient::new(self.channel.clone()).put(self.named(in_time(put))).await?;
        Ok(granted.id)
    }

    /// Ends a lease, and with it what was written under it.
    pub(crate) async fn revoke(&self, lease: i64) -> Result<(), Error> {
        self.leases().lease_revoke(self.named(in_time(LeaseRevokeRequest { id: lease }))).await?;
        Ok(())
    }

    /// Asks for renewals of leases.
    pub(crate) async fn renewals(
        &self,
    ) -> Result<Open<LeaseKeepAliveRequest, LeaseKeepAliveResponse>, Error> {
        let (requests, stream) = requests();
        let answers = self.leases().lease_keep_alive(self.named(Request::new(stream))).await?;
        Ok(Open { requests, answers: answers.into_inner() })
    }

    fn leases(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    /// A request in the name of the user.
    fn named<T>(&self, mut request: Request<T>) -> Request<T> {
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

async fn read_tls(settings: &Arc<Settings>) -> Result<Option<Tls>, Error> {
    let settings = Arc::clone(settings);
    let reading = waypost_telemetry::spawn_blocking(move || Tls::read(&settings));
    // The task ends early only when the runtime does.
    reading.await.unwrap_or_else(|ended| Err(Error::Tls(ended.to_string())))
}

/// To tonic the connection is one that TLS of its own is not asked for, so its address says `http`, and the requests `https`.
async fn secured(member: &Endpoint, tls: Tls) -> Result<Channel, transport::Error> {
    let origin = member.uri().clone();
    let mut parts = origin.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    // It has all its parts, so there is no other outcome.
    let plain = Uri::from_parts(parts).unwrap_or_else(|_| origin.clone());
    let connector = tower::service_fn(move |to| tls.clone().connect(to));
    timed(Endpoint::from(plain).origin(origin)).connect_with_connector(connector).await
}

fn timed(endpoint: Endpoint) -> Endpoint {
    endpoint.connect_timeout(TIMEOUT).http2_keep_alive_interval(TIMEOUT).keep_alive_timeout(TIMEOUT)
}

/// Requests and answers that go on. They end when this is dropped: hyper would go on sending requests whose answers nobody
/// reads any more, so the requests must not come from a stream that never ends.
pub(crate) struct Open<Q, A> {
    pub(crate) requests: mpsc::Sender<Q>,
    pub(crate) answers: Streaming<A>,
}

fn requests<Q: Send + 'static>() -> (mpsc::Sender<Q>, impl Stream<Item = Q> + Send + use<Q>) {
    let (requests, mut receiver) = mpsc::channel(1);
    (requests, stream::poll_fn(move |task| receiver.poll_recv(task)))
}

fn in_time<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(TIMEOUT);
    request
}

/// The first key behind all that begin with the prefix, which ends with `/`.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
