//! Sagas: work over several services that ends whole, or undone, whatever crashes on the way.
//!
//! For the service that owns the work (the order service owns "place this order"). A saga is a [`Plan`]: one list
//! of steps that calls other services, with what undoes each, and the pivot after which there is no way back. A
//! [`Runner`] carries it to its end and keeps a [`Journal`], which the service's own store implements.
//!
//! ```
//! use waypost_durable::saga::{Call, Failure, Local, Plan, Saga, Step, Undo, saga, step};
//! # use waypost_telemetry::ErrorType;
//! # #[derive(Debug, Clone, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
//! # #[error("refused")]
//! # struct Refusal;
//! # impl ErrorType for Refusal {
//! #     fn error_type(&self) -> std::borrow::Cow<'static, str> { "refused".into() }
//! # }
//! struct Trip; // holds the clients of the services that the steps call
//!
//! impl Saga for Trip {
//!     type State = String; // what the journal's units change: here only a name
//!     type Output = u32; // what a step hands back to be kept
//!     type Reason = Refusal; // why a step said no
//! }
//!
//! struct BookRoom;
//! impl Step<Trip> for BookRoom {
//!     const NAME: &'static str = "book-room";
//!     const SPAN: &'static str = "book-room";
//!     async fn run(&self, _trip: &Trip, _guest: &String, call: &Call) -> Result<u32, Failure<Refusal>> {
//!         let _same_for_every_repetition = call.key(); // `<saga id>:book-room:1`
//!         Ok(7)
//!     }
//! }
//! struct CancelRoom;
//! impl Undo<Trip> for CancelRoom {
//!     const NAME: &'static str = "cancel-room";
//!     const SPAN: &'static str = "cancel-room";
//!     async fn undo(&self, _trip: &Trip, _guest: &String, _call: &Call) -> Result<(), Failure<Refusal>> {
//!         Ok(()) // also when no room was ever booked
//!     }
//! }
//! struct Done;
//! impl Local<Trip> for Done {
//!     const NAME: &'static str = "done";
//!     const SPAN: &'static str = "finish-trip";
//! }
//!
//! let plan: Plan<Trip> = saga("book-trip").step(step(BookRoom).undo(CancelRoom)).local(Done);
//! assert!(plan.check().is_ok());
//! ```
//!
//! Invariants (I15 of the guarantees, proved in the tests of this module by crashing at every point):
//! - the intent to run a step is durable before the step runs, so that an unknown outcome can be undone;
//! - a refusal means "not done" only when no earlier try of the step is open: one of this run whose outcome is not known,
//!   or any of a run before the last [`Entry::Resumed`]. Otherwise the step is undone like one that was done, or,
//!   from the pivot on, repeated until it is done or refused for good;
//! - steps and undos may run more than once, and always with the same key for the same thing;
//! - undos run in reverse order of the intents; once turned back, no step runs forward again;
//! - from the pivot on nothing is undone: steps are repeated until they succeed;
//! - an undo that keeps failing is parked as stuck, which is visible and can be resumed; it is never dropped;
//! - a runner that was replaced by another (a lease that ran out) cannot write: the journal refuses it. Nor can what it asked
//!   of other services have an effect after they heard of the other one: each call carries its epoch ([`Call::epoch`]).
//!
//! [`decide`] is the whole of the decision, a pure function of plan and journal. Few units are written, because
//! each is a disk sync: what a step brought and the intent of the next are one unit, and steps that only change
//! the state of the own service ([`Local`]) have no unit of their own. An order that succeeds takes three.
//!
//! A [`host`] runs the sagas of one process: it admits new ones, holds their leases and resumes those that nobody runs.
//!
//! Left out: where journal and leases live. That is the store's, behind [`host::SagaStore`].

mod call;
mod decide;
mod error;
pub mod host;
mod journal;
mod plan;
mod policy;
mod runner;
mod standing;
mod step;

#[cfg(test)]
mod tests;

pub use call::{Call, Failure};
pub use decide::{Direction, Next, Shape, StageShape, StepShape, decide};
pub use error::{AppendError, Error, PlanError};
pub use journal::{Batch, Ending, Entry, Journal, Loaded, Log, Phase, StepName};
pub use plan::{Plan, Spans, saga};
pub use policy::Policy;
pub use runner::{Finished, Runner, Signals};
pub use step::{IntoNode, Local, Node, Saga, Step, Undo, step};
