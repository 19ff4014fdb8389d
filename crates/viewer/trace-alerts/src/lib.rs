//! Alerts and anomalies over the figures that are kept on intake: which rules hold, since when, and who has yet to be told.
//!
//! For the viewer, which owns the clock, the file and the network. [`Engine::evaluate`] is called every few seconds with the
//! time and a [`Numbers`]; what it answers is to be saved before anybody is told.
//!
//! Invariants:
//! - The same numbers, times and saved state give the same answer: there is no clock and no IO here.
//! - A change of an alert is put into the queue of each receiver once; it leaves the queue when it was delivered.
//! - Everything is bounded: alerts of a rule, episodes, history, silences, queues.
//! - A sentence counts: it names the figure, what it is held against, and how many calls both are made of.
//!
//! Left out: delivery, files, keeping example traces.

#![warn(missing_docs)]

mod anomaly;
mod condition;
mod engine;
mod finding;
mod instances;
mod machine;
mod message;
mod numbers;
mod place;
mod probability;
mod rule;
mod saved;
mod settings;
mod silence;
mod watch;
mod words;

pub use anomaly::{Anomaly, What};
pub use condition::{Burn, Condition, Reading, Unit};
pub use engine::{Change, Engine, Evaluated, Receiver, RuleState, Silenced};
pub use finding::{FindingMeasure, Looked, Search};
pub use instances::{Bad, Instances};
pub use machine::{Phase, Timing, Turn, Verdict, step};
pub use message::webhook;
pub use numbers::Numbers;
pub use place::Place;
pub use rule::{Rule, Scope};
pub use saved::{Alert, Entry, Notification, Saved, Status};
pub use settings::{BurnSettings, RuleKind, RuleSettings, Threshold};
pub use silence::Silence;
pub use watch::{Episode, Watch};
