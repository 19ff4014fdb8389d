//! The whole configuration: one struct, a section for each role and for what the process itself does.
//!
//! In rising order a value comes from its default, the file (`--config` or ./waypost.toml), the environment
//! (`WAYPOST_SECTION__KEY`, and the standard `OTEL_*` variables for telemetry), flags. All problems of all layers
//! are reported together. This is the only part of the program that reads the environment, and it does so once
//! ([`Environment`]).

mod database;
mod discovery;
mod kafka;
mod load;
mod otel;
mod retry;
mod storage;
mod tls;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use waypost_durable::layout::Layout;
use waypost_durable::{Files, SharedFile, Storage};
use waypost_service::health::HealthSettings;
use waypost_service::{DataDir, Limits, ListenAddress, Pacing};
use waypost_settings::{ByteSize, Duration, FieldDoc, Settings as _, settings};

use crate::exit::{Exit, Failure};

use database::Database;
pub(crate) use database::DatabaseKind;
pub(crate) use discovery::Discovery;
pub(crate) use kafka::Kafka;
#[cfg(feature = "kafka")]
pub(crate) use kafka::KafkaMechanism;
pub(crate) use load::{Effective, Environment, Layers, PREFIX, Profile, load};
pub(crate) use retry::Retry;
use storage::{FileLayout, FileStorage};
use tls::Tls;

settings! {
    /// Everything that can be set.
    pub(crate) struct Settings {
        /// Addresses to listen on. Port 0 takes any free port.
        pub(crate) listen: Listen = Listen::default(),
        /// Where the databases are.
        pub(crate) data: Data = Data::default(),
        /// Which database the roles keep their data in.
        pub(crate) database: Database = Database::default(),
        /// Which files embedded databases are in.
        pub(crate) storage: FileStorage = FileStorage::default(),
        /// The broker, which carries events from the order service to its consumers.
        pub(crate) broker: Broker = Broker::default(),
        /// Where rates of callers and copies of users are kept. Nothing is lost with them.
        pub(crate) cache: Cache = Cache::default(),
        /// How roles find the replicas of each other.
        pub(crate) discovery: Discovery = Discovery::default(),
        /// Who the roles are to each other.
        pub(crate) tls: Tls = Tls::default(),
        /// What the process may use.
        pub(crate) runtime: Runtime = Runtime::default(),
        /// How the process ends.
        pub(crate) drain: Pacing = Pacing::default(),
        /// How readiness is found out.
        pub(crate) health: HealthSettings = HealthSettings::default(),
        /// What the listeners put up with.
        pub(crate) limits: ListenerLimits = ListenerLimits::default(),
        /// Traces, metrics and logs.
        pub(crate) telemetry: waypost_telemetry::Settings = telemetry(),
        /// The public HTTP edge.
        pub(crate) gateway: waypost_gateway::Config = waypost_gateway::Config::default(),
        /// The order service.
        pub(crate) order: waypost_order::Config = waypost_order::Config::default(),
        /// The user service.
        pub(crate) user: waypost_user::Config = waypost_user::Config::default(),
        /// The inventory service.
        pub(crate) inventory: waypost_inventory::Config = waypost_inventory::Config::default(),
        /// The payment service.
        pub(crate) payment: waypost_payment::Config = waypost_payment::Config::default(),
        /// The notification service.
        pub(crate) notification: waypost_notification::Config = waypost_notification::Config::default(),
        /// The simulated payment provider.
        pub(crate) provider: waypost_provider::Config = waypost_provider::Config::default(),
        /// The viewer of traces.
        pub(crate) viewer: waypost_viewer::Config = waypost_viewer::Config::default(),
    }
}

settings! {
    /// Addresses to listen on.
    pub(crate) struct Listen {
        /// Whether the services of a process with several roles listen at Unix-domain sockets besides, `sockets/order.sock` and
        /// so on in the data folder, by which the roles of the same process call them. Only the user of the process can open
        /// them. Without, or where they cannot be had, the roles call each other's addresses.
        pub(crate) sockets: bool = true,
        /// Gateway, HTTP. The only address that outsiders need.
        pub(crate) gateway: SocketAddr = loopback(8080),
        /// Order service, gRPC. As those of the other services, an address, or a Unix-domain socket for callers on this machine:
        /// `unix:/run/waypost/order.sock`. Its user and group may connect.
        pub(crate) order: ListenAddress = ListenAddress::Tcp(loopback(9090)),
        /// User service, gRPC.
        pub(crate) user: ListenAddress = ListenAddress::Tcp(loopback(9091)),
        /// Inventory service, gRPC.
        pub(crate) inventory: ListenAddress = ListenAddress::Tcp(loopback(9092)),
        /// Payment service, gRPC.
        pub(crate) payment: ListenAddress = ListenAddress::Tcp(loopback(9093)),
        /// Simulated payment provider, HTTP.
        pub(crate) provider: SocketAddr = loopback(9095),
        /// `/livez`, `/readyz` and `/metrics` of this process, HTTP. Not for outsiders.
        pub(crate) admin: SocketAddr = loopback(9464),
        /// Viewer: its page and query APIs, HTTP. Beyond loopback it asks for a token.
        pub(crate) viewer: SocketAddr = loopback(16686),
        /// Viewer: OTLP over gRPC.
        pub(crate) otlp_grpc: SocketAddr = loopback(4317),
        /// Viewer: OTLP over HTTP.
        pub(crate) otlp_http: SocketAddr = loopback(4318),
        /// Viewer: Zipkin v2, HTTP.
        pub(crate) zipkin: SocketAddr = loopback(9411),
    }
}

settings! {
    /// Where the databases are.
    pub(crate) struct Data {
        /// Folder of the databases; made when it is missing.
        pub(crate) folder: PathBuf = PathBuf::from("waypost-data"),
        /// Keeps the data in a temporary place instead and leaves nothing behind.
        pub(crate) ephemeral: bool = false,
    }
}

settings! {
    /// The broker.
    pub(crate) struct Broker {
        /// `embedded`: a file in the data folder that the roles of one machine share. `kafka`: a Kafka cluster, which
        /// `[broker.kafka]` leads to; of the settings below only `record_size` and `[broker.retry]` concern it.
        pub(crate) kind: BrokerKind = BrokerKind::Embedded,
        /// Lets other programs of this machine open the file too, a service of your own for instance: records of other programs
        /// are then looked for every 100 ms. Roles in processes of their own share it without being told.
        pub(crate) shared: bool = false,
        /// How long a record is kept that every group of its topic has read, and a dead letter that was published again.
        /// What is not read, or has no reader, is kept.
        pub(crate) retention: Duration = Duration::from_secs(24 * 3600),
        /// Records that every group has read are deleted earlier, the oldest first, while their partition is larger.
        pub(crate) retention_size: ByteSize = ByteSize::mib(64),
        /// How long a consumer group may be away, without a member, before records are deleted that it has not read.
        pub(crate) group_expiry: Duration = Duration::from_secs(7 * 24 * 3600),
        /// How often records are looked for that may be deleted.
        pub(crate) retention_interval: Duration = Duration::from_secs(60),
        /// Key and payload of one record. A larger one is refused for good, and its event is parked in the outbox.
        pub(crate) record_size: ByteSize = ByteSize::mib(1),
        /// What becomes of an event whose handler fails on it.
        pub(crate) retry: Retry = Retry::default(),
        /// Kafka, for `kind = "kafka"`.
        pub(crate) kafka: Kafka = Kafka::default(),
    }
}

/// The brokers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrokerKind {
    /// One file on one machine.
    Embedded,
    /// A Kafka cluster.
    Kafka,
}

/// What keeps rates and copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CacheKind {
    /// The memory of the process.
    #[default]
    Embedded,
    /// A Redis that several processes share.
    Redis,
}

settings! {
    /// Where what may be forgotten is kept.
    pub(crate) struct Cache {
        /// `embedded`: in the memory of each process, which is right for one gateway and one user service. Several gateways
        /// each give a caller the whole rate, several user services each look a user up. `redis`: in a Redis that they share.
        pub(crate) kind: CacheKind = CacheKind::Embedded,
        /// The Redis, with `kind = "redis"`.
        pub(crate) redis: waypost_redis::Settings = waypost_redis::Settings::default(),
    }
}

settings! {
    /// What the process may use.
    pub(crate) struct Runtime {
        /// Threads that run requests; 0 takes one for each processor, at most 4. Each database has a writer thread
        /// of its own beside them.
        pub(crate) worker_threads: usize = 0,
        /// Name of this process among those that share a database: another for each that is up at the same time, and
        /// the same after a restart, so that what it was working on is resumed at once. Up to 64 letters, digits and
        /// `-_.`; when it is empty, one is made and kept in the data folder.
        pub(crate) node: String = String::new(),
        /// How often the configuration file is looked at for changes that take effect without a restart; SIGHUP has it looked at
        /// at once. 0s never looks by itself.
        pub(crate) reload_interval: Duration = Duration::from_secs(10),
    }
}

settings! {
    /// Limits by kind of listener.
    pub(crate) struct ListenerLimits {
        /// The gateway.
        pub(crate) public: Limits = Limits::default(),
        /// Services, provider and admin.
        pub(crate) internal: Limits = Limits::default(),
        /// The viewer's four listeners.
        pub(crate) viewer: Limits = Limits::default(),
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The kit's defaults under the name of the system; each role has its own service name.
fn telemetry() -> waypost_telemetry::Settings {
    waypost_telemetry::Settings {
        service_namespace: Some("waypost".to_owned()),
        service_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        ..waypost_telemetry::Settings::new("waypost")
    }
}

impl Listen {
    /// Each address with the name of its role.
    pub(crate) fn named(&self) -> Vec<(&'static str, ListenAddress)> {
        let mut copy = self.clone();
        let over_tcp = copy.named_mut().map(|(name, address)| (name, ListenAddress::Tcp(*address)));
        let over_tcp: Vec<_> = over_tcp.collect();
        let sockets = self.services().into_iter().filter(|(_, address)| address.tcp().is_none());
        over_tcp.into_iter().chain(sockets.map(|(name, address)| (name, address.clone()))).collect()
    }

    /// Those of the services.
    pub(crate) fn services(&self) -> [(&'static str, &ListenAddress); 4] {
        [
            ("order", &self.order),
            ("user", &self.user),
            ("inventory", &self.inventory),
            ("payment", &self.payment),
        ]
    }

    /// The addresses with a port, to be changed.
    pub(crate) fn named_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut SocketAddr)> {
        let services = [
            ("order", &mut self.order),
            ("user", &mut self.user),
            ("inventory", &mut self.inventory),
            ("payment", &mut self.payment),
        ];
        let with_port = services.into_iter().filter_map(|(name, address)| match address {
            ListenAddress::Tcp(address) => Some((name, address)),
            ListenAddress::Unix(_) => None,
        });
        let others = [
            ("provider", &mut self.provider),
            ("admin", &mut self.admin),
            ("viewer", &mut self.viewer),
            ("otlp_grpc", &mut self.otlp_grpc),
            ("otlp_http", &mut self.otlp_http),
            ("zipkin", &mut self.zipkin),
        ];
        [("gateway", &mut self.gateway)].into_iter().chain(with_port).chain(others)
    }
}

impl Settings {
    /// Every setting with its description, in the order of the file that `config docs` writes.
    pub(crate) fn documented() -> Vec<FieldDoc> {
        Settings::describe()
    }

    /// As [`Settings::documented`], with these values in place of the defaults.
    pub(crate) fn documented_values(&self) -> Vec<FieldDoc> {
        self.describe_self()
    }

    /// Where the roles keep their files.
    pub(crate) fn data_dir(&self) -> DataDir {
        if self.data.ephemeral { DataDir::Ephemeral } else { DataDir::Folder(self.data.folder.clone()) }
    }

    /// Which database the roles keep their data in, those that are embedded in these files.
    ///
    /// # Errors
    /// When a file that the settings name cannot be read.
    pub(crate) fn storage(&self, files: &Files) -> Result<Storage, Failure> {
        match self.database.kind {
            DatabaseKind::Embedded => Ok(Storage::Embedded(files.clone())),
            DatabaseKind::Postgres => {
                let server = self.database.server();
                server
                    .map(|server| Storage::Postgres(Box::new(server)))
                    .map_err(|problem| Failure::message(Exit::BadConfig, problem))
            }
        }
    }

    /// Where embedded databases with this layout are: those of the roles, and the embedded broker's.
    pub(crate) fn files(&self, layout: Layout) -> Files {
        match (self.data.ephemeral, layout) {
            (true, Layout::PerRole) => Files::Ephemeral,
            (true, Layout::Shared) => Files::Shared(SharedFile::ephemeral()),
            (false, Layout::PerRole) => Files::Folder(self.data.folder.clone()),
            (false, Layout::Shared) => Files::shared_in(&self.data.folder),
        }
    }

    /// The layout that is asked for. It is that of a process which has every role that keeps data; of others it is
    /// [`Layout::PerRole`].
    pub(crate) fn layout(&self) -> Layout {
        match self.storage.files {
            FileLayout::PerRole => Layout::PerRole,
            FileLayout::Shared => Layout::Shared,
        }
    }

    /// How many threads run requests.
    pub(crate) fn worker_threads(&self) -> usize {
        match self.runtime.worker_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from).min(4),
            threads => threads,
        }
    }
}
