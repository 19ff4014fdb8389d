//! One replica of a service, and whether calls should go to it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};
use waypost_telemetry::{
    Telemetry,
    opentelemetry::{KeyValue, metrics::UpDownCounter},
};

use super::{Address, ChannelOptions, health};
use crate::{TARGET, breaker::Breaker};

/// What a replica says of itself, or that it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Standing {
    /// It has not answered yet, and nothing speaks against it.
    Unknown,
    /// It takes calls.
    Serving,
    /// It asks for no calls: it starts, drains, or misses something.
    NotServing,
    /// It cannot be reached.
    Unreachable,
}

impl Standing {
    const ALL: [Self; 4] = [Self::Unknown, Self::Serving, Self::NotServing, Self::Unreachable];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Serving => "serving",
            Self::NotServing => "not_serving",
            Self::Unreachable => "unreachable",
        }
    }
}

/// For so long others are called before one on whose connection a call was lost.
const MOMENT: Duration = Duration::from_secs(1);

/// The standing of a replica, told on metrics and in the log when it changes.
#[derive(Debug)]
pub(super) struct Kept {
    address: Address,
    target: Arc<str>,
    standing: AtomicU8,
    /// When a call was last lost on the way.
    lost: Mutex<Option<Instant>>,
    /// Somebody has seen that what is kept here may be wrong.
    pub(super) doubt: Notify,
    replicas: UpDownCounter<i64>,
}

impl Kept {
    fn new(address: Address, target: Arc<str>, telemetry: &Telemetry) -> Self {
        let replicas = telemetry.meter().i64_up_down_counter("waypost.replicas");
        let replicas = replicas.with_description("Replicas of a target").with_unit("{replica}").build();
        let standing = AtomicU8::new(Standing::Unknown as u8);
        let kept = Self { address, target, standing, lost: Mutex::default(), doubt: Notify::new(), replicas };
        kept.count(Standing::Unknown, 1);
        kept
    }

    pub(super) fn get(&self) -> Standing {
        // Relaxed: the standing stands for itself and orders nothing else.
        let number = self.standing.load(Ordering::Relaxed);
        Standing::ALL.get(usize::from(number)).copied().unwrap_or(Standing::Unknown)
    }

    pub(super) fn set(&self, now: Standing) {
        let before = self.standing.swap(now as u8, Ordering::Relaxed);
        let before = Standing::ALL.get(usize::from(before)).copied().unwrap_or(Standing::Unknown);
        if before == now {
            return;
        }
        self.count(before, -1);
        self.count(now, 1);
        let (target, address) = (&*self.target, &self.address);
        match now {
            Standing::Unreachable | Standing::NotServing => {
                tracing::warn!(target_name = target, replica = %address, standing = now.name(), "a replica gets no calls");
            }
            Standing::Serving | Standing::Unknown => {
                tracing::info!(target_name = target, replica = %address, standing = now.name(), "a replica gets calls");
            }
        }
    }

    /// A call could not be brought to the replica: it gets no more until it has answered whoever looks after it.
    pub(super) fn doubt(&self) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.set(Standing::Unreachable);
        self.doubt.notify_one();
    }

    /// Whether a call was lost a moment ago. It may be well again at once, but whoever makes that call again goes elsewhere.
    fn was_lost_just_now(&self) -> bool {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.is_some_and(|lost| lost.elapsed() < MOMENT)
    }

    fn count(&self, standing: Standing, change: i64) {
        let attributes =
            [KeyValue::new(TARGET, self.target.to_string()), KeyValue::new(STANDING, standing.name())];
        self.replicas.add(change, &attributes);
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.count(self.get(), -1);
    }
}

/// The attribute that says on metrics how a replica stands.
const STANDING: &str = "waypost.replica.standing";

/// See the module.
#[derive(Debug)]
pub(super) struct Replica {
    /// Where it is connected to.
    pub(super) address: Address,
    /// What it is called on spans.
    pub(super) server: Address,
    pub(super) breaker: Breaker,
    /// `None` for the only address of a target, which gets every call however it stands.
    pub(super) kept: Option<Arc<Kept>>,
    watcher: Option<AbortHandle>,
}

impl Replica {
    /// The only address of a target.
    pub(super) fn alone(address: &Address, telemetry: &Telemetry, options: &ChannelOptions) -> Self {
        let breaker = breaker(address, telemetry, options);
        Self { address: address.clone(), server: address.clone(), breaker, kept: None, watcher: None }
    }

    /// One of several, or of what may become several. Its health is watched until it is dropped.
    pub(super) fn watched(
        address: &Address,
        server: Address,
        target: &Arc<str>,
        telemetry: &Telemetry,
        options: &ChannelOptions,
    ) -> Self {
        let kept = Arc::new(Kept::new(address.clone(), Arc::clone(target), telemetry));
        let watcher =
            waypost_telemetry::spawn(health::watch(address.clone(), options.clone(), Arc::clone(&kept)));
        let breaker = breaker(address, telemetry, options);
        let watcher = Some(watcher.abort_handle());
        Self { address: address.clone(), server, breaker, kept: Some(kept), watcher }
    }

    /// Whether it says that it takes calls.
    pub(super) fn serves(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.get() == Standing::Serving)
    }

    /// Whether it may be called at all, and besides has nothing against it.
    pub(super) fn usable(&self) -> (bool, bool) {
        let admits = self.breaker.admits();
        let stands_well = self.kept.as_ref().is_none_or(|kept| {
            matches!(kept.get(), Standing::Serving | Standing::Unknown) && !kept.was_lost_just_now()
        });
        (admits, admits && stands_well)
    }
}

fn breaker(address: &Address, telemetry: &Telemetry, options: &ChannelOptions) -> Breaker {
    Breaker::new(telemetry, &address.name(), options.breaker)
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}
