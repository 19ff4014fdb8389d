//! The replicas of one target, as its discovery finds them.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tonic_health::pb::health_check_response::ServingStatus;
use waypost_telemetry::{Telemetry, grpc::Connection, opentelemetry::metrics::Counter};

use super::{
    Address, ChannelError, ChannelOptions, Target, faults, health,
    replica::{Replica, Standing},
    secured,
};
use crate::discovery::{Addresses, Discovery};

/// Shared by all channels to one target.
#[derive(Debug)]
pub(super) struct Replicas {
    pub(super) target: Arc<str>,
    pub(super) telemetry: Telemetry,
    pub(super) options: ChannelOptions,
    /// Calls that went on to another replica.
    pub(super) failovers: Counter<u64>,
    form: Form,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum Form {
    /// One address, and the connection over which it is asked how it is.
    Alone(Connection),
    /// Several addresses, each a server of its own.
    Addresses,
    /// A name, which is the server of all spans.
    Name(Address),
}

#[derive(Debug)]
struct Known {
    addresses: Addresses,
    replicas: Arc<[Arc<Replica>]>,
    /// Some of them are found no more, and say all the same that they take calls.
    has_unfound: bool,
}

impl Replicas {
    pub(super) fn new(
        discovery: &Discovery,
        telemetry: &Telemetry,
        name: &str,
        options: ChannelOptions,
    ) -> Result<Self, ChannelError> {
        let target: Target = name.parse()?;
        let named = |host: &str, port: u16| {
            let uri = format!("http://{host}:{port}").parse().map(Address::Http);
            uri.map_err(|source| ChannelError::InvalidTarget { target: name.to_owned(), source })
        };
        let form = match &target {
            Target::Fixed(addresses) => match addresses.as_slice() {
                [address] => Form::Alone(secured::to(address, options.tls.clone())),
                _ => Form::Addresses,
            },
            Target::Dns { host, port } => Form::Name(named(host, *port)?),
            Target::Registered { .. } => Form::Addresses,
        };
        let addresses = discovery.watch(&target)?;
        let failovers = telemetry.meter().u64_counter("waypost.failovers");
        let failovers = failovers
            .with_description("Calls that could not be sent to one replica and went on to another")
            .with_unit("{call}")
            .build();
        let replicas = Self {
            target: name.into(),
            telemetry: telemetry.clone(),
            options,
            failovers,
            form,
            known: Mutex::new(Known { addresses, replicas: Arc::from([]), has_unfound: false }),
        };
        replicas.learn(&mut replicas.lock());
        Ok(replicas)
    }

    /// The replicas of this moment. The same list as before, unless some came or went.
    pub(super) fn current(&self) -> Arc<[Arc<Replica>]> {
        let mut known = self.lock();
        // An error says that nobody looks any more; what is known stays.
        if known.addresses.has_changed().unwrap_or(false) || known.has_unfound {
            self.learn(&mut known);
        }
        Arc::clone(&known.replicas)
    }

    /// As [`Replicas::current`], but waits a moment for the first ones. Cancel safe.
    pub(super) async fn first(&self, time: Duration) -> Arc<[Arc<Replica>]> {
        let mut addresses = self.lock().addresses.clone();
        // Late or never: whoever asked sees that there is none.
        let _ = tokio::time::timeout(time, addresses.wait_for(|found| !found.is_empty())).await;
        self.current()
    }

    /// Whether at least one takes calls, in words if none does.
    pub(super) async fn serving(&self) -> Result<(), String> {
        if let Form::Alone(connection) = &self.form {
            return match health::ask(connection.clone()).await {
                Ok(ServingStatus::Serving) => Ok(()),
                Ok(status) => Err(format!("answers {}", status.as_str_name())),
                Err(status) => Err(faults::reason(&status)),
            };
        }
        let replicas = self.current();
        let mut none = String::new();
        for replica in replicas.iter() {
            let standing = replica.kept.as_ref().map_or(Standing::Unknown, |kept| kept.get());
            if standing == Standing::Serving {
                return Ok(());
            }
            let separator = if none.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            write!(none, "{separator}{} {}", replica.address, standing.name()).ok();
        }
        if none.is_empty() { Err("no replica is known".to_owned()) } else { Err(none) }
    }

    /// Takes over what was found. Who is found no more is given up when it says no more that it takes calls: a registry or a
    /// name server that restarts, or was away for longer than its entries live, must not take healthy replicas away.
    fn learn(&self, known: &mut Known) {
        let addresses = Arc::clone(&known.addresses.borrow_and_update());
        if addresses.is_empty() && !known.replicas.is_empty() {
            return;
        }
        let replica = |address: &Address| {
            let kept = known.replicas.iter().find(|replica| replica.address == *address);
            kept.map_or_else(|| Arc::new(self.replica(address)), Arc::clone)
        };
        let unfound = known.replicas.iter().filter(|replica| !addresses.contains(&replica.address));
        let unfound: Vec<Arc<Replica>> = unfound.filter(|replica| replica.serves()).cloned().collect();
        let has_unfound = !unfound.is_empty();
        let all: Vec<Arc<Replica>> = addresses.iter().map(replica).chain(unfound).collect();
        let is_same = all.len() == known.replicas.len()
            && all.iter().zip(known.replicas.iter()).all(|(one, other)| Arc::ptr_eq(one, other));
        if !is_same {
            known.replicas = all.into();
        }
        known.has_unfound = has_unfound;
    }

    fn replica(&self, address: &Address) -> Replica {
        let server = match &self.form {
            Form::Alone(_) => return Replica::alone(address, &self.telemetry, &self.options),
            Form::Addresses => address.clone(),
            Form::Name(name) => name.clone(),
        };
        Replica::watched(address, server, &self.target, &self.telemetry, &self.options)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // The list is whole between any two statements, so a panic elsewhere does not spoil it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
