//! Whether faults happen, and those that a test has chosen by hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{Fault, Marker, lock};

/// Whether faults happen, for all proxies that share it, and what is scripted.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    is_foul: Arc<AtomicBool>,
    scripts: Arc<Mutex<Vec<Script>>>,
    lets_go: Arc<watch::Sender<bool>>,
}

/// The faults of a seed that are chosen by hand: in place of those that the seed would give it.
#[derive(Clone, Debug)]
pub struct Script {
    /// The seed, which meets no other faults.
    pub seed: u64,
    /// The proxy.
    pub link: &'static str,
    /// How the call ends, such as `/Capture`.
    pub call: &'static str,
    /// The faults of the first calls of this kind, over all sendings of a request.
    pub faults: Vec<Fault>,
}

impl Weather {
    /// From now on calls meet their faults, or no longer.
    pub fn set_foul(&self, is_foul: bool) {
        self.is_foul.store(is_foul, Ordering::SeqCst);
    }

    /// Adds a script.
    pub fn script(&self, script: Script) {
        lock(&self.scripts).push(script);
    }

    /// Forwards every call that is [held](Fault::Hold), and holds no further ones.
    pub fn let_go(&self) {
        self.lets_go.send_replace(true);
    }

    pub(super) async fn until_let_go(&self) {
        let mut lets_go = self.lets_go.subscribe();
        // The sender lives as long as this does.
        let _ = lets_go.wait_for(|lets_go| *lets_go).await;
    }

    /// The fault of a call by its script; `None` when its seed has none.
    pub(super) fn scripted(&self, marker: Marker, link: &str, call: &str, nth: u32) -> Option<Fault> {
        let scripts = lock(&self.scripts);
        let mut of_seed = scripts.iter().filter(|script| script.seed == marker.seed).peekable();
        of_seed.peek()?;
        let of_call = of_seed.find(|script| script.link == link && call.ends_with(script.call));
        let fault = of_call.and_then(|script| script.faults.get(usize::try_from(nth).ok()?));
        Some(fault.copied().unwrap_or(Fault::None))
    }

    pub(super) fn has_script(&self, seed: u64) -> bool {
        lock(&self.scripts).iter().any(|script| script.seed == seed)
    }

    pub(super) fn is_foul(&self) -> bool {
        self.is_foul.load(Ordering::SeqCst)
    }
}
