//! A variant of a set, run once a round in a process of its own.

use std::time::Duration;

use anyhow::bail;

use super::{BASE, RowPlan, Variables};
use crate::account::Account;
use crate::libraries::{self, Transport, Variant};
use crate::order::SPANS;
use crate::process::{Environment, Process};
use crate::producer::{Cost, WARM_UP};
use crate::receiver::{Counts, Receiver};
use crate::table::grouped;

/// A variant and what its rounds gave.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) variant: Variant,
    variables: Variables,
    /// Why it is left out.
    pub(super) unsupported: Option<String>,
    pub(super) rounds: Vec<Round>,
    /// Allocations a span: of the creating thread, of the process.
    pub(super) allocations: Option<(f64, f64)>,
}

/// One run, in nanoseconds a span.
pub(super) struct Round {
    pub(super) create: f64,
    pub(super) total: f64,
    pub(super) arrived: Counts,
    pub(super) missing: u64,
    account: Option<Account>,
}

impl Row {
    pub(super) fn new(&(name, variant, variables): &RowPlan) -> anyhow::Result<Self> {
        let variant = Variant::named(variant)?;
        Ok(Self { name, variant, variables, unsupported: None, rounds: Vec::new(), allocations: None })
    }

    pub(super) fn is_kit(&self) -> bool {
        self.name.starts_with("kit")
    }

    /// Spans that were created and did not arrive, over all rounds.
    pub(super) fn missing(&self) -> u64 {
        self.rounds.iter().map(|round| round.missing).sum()
    }

    /// Runs it once more. Spans arrive unless it is the base or nothing is sampled.
    pub(super) fn run(
        &mut self,
        requests: u64,
        arrives: bool,
        receiver: &mut Receiver,
    ) -> anyhow::Result<()> {
        if self.unsupported.is_some() {
            return Ok(());
        }
        let (cost, arrived) = self.produce(requests, &[], receiver)?;
        let is_plain = self.variant.transport == Transport::HttpGzip && arrived.compressed == 0;
        self.unsupported = match cost.unsupported {
            Some(reason) => Some(reason),
            None => is_plain.then(|| "what it sent was not compressed".to_owned()),
        };
        if self.unsupported.is_some() {
            return Ok(());
        }
        let expected = if arrives && self.name != BASE { (cost.requests + WARM_UP) * SPANS } else { 0 };
        if arrived.spans > expected || arrived.malformed > 0 {
            bail!("{}: {arrived:?} arrived and {expected} spans were created", self.name);
        }
        self.rounds.push(Round {
            create: a_span(cost.create, cost.requests),
            total: a_span(cost.total, cost.requests),
            missing: expected - arrived.spans,
            arrived,
            account: cost.account,
        });
        Ok(())
    }

    pub(super) fn count_allocations(&mut self, requests: u64, receiver: &mut Receiver) -> anyhow::Result<()> {
        if self.unsupported.is_none() {
            let (cost, _) = self.produce(requests, &["--count-allocations"], receiver)?;
            let a_span = |allocations| as_float(allocations) / as_float(cost.requests * SPANS);
            self.allocations = Some((a_span(cost.thread_allocations), a_span(cost.process_allocations)));
        }
        Ok(())
    }

    fn produce(
        &self,
        requests: u64,
        further: &[&str],
        receiver: &mut Receiver,
    ) -> anyhow::Result<(Cost, Counts)> {
        let mut environment: Environment = self.variant.environment(receiver.address);
        environment.extend(libraries::equal_batches());
        environment.extend(self.variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        receiver.reset()?;
        let requests = requests.to_string();
        let mut arguments = vec!["bursts", self.variant.name, "--requests", &requests];
        arguments.extend(further);
        let mut producer = Process::start(&arguments, &environment)?;
        let cost = producer.read()?;
        producer.finish()?;
        Ok((cost, receiver.counts()?))
    }

    /// The last round in one line, so that a bad one can be seen for what it is.
    pub(super) fn last_round(&self) -> String {
        match (&self.unsupported, self.rounds.last()) {
            (Some(reason), _) => format!("{}: left out: {reason}", self.name),
            (None, None) => format!("{}: not run", self.name),
            (None, Some(round)) => {
                let account =
                    round.account.as_ref().map(|account| format!("; {account}")).unwrap_or_default();
                format!(
                    "{}: create {:.0} ns, total {:.0} ns, arrived {}, missing {}{account}",
                    self.name,
                    round.create,
                    round.total,
                    grouped(round.arrived.spans),
                    round.missing
                )
            }
        }
    }
}

/// Nanoseconds a span.
fn a_span(time: Duration, requests: u64) -> f64 {
    time.as_secs_f64() * 1e9 / as_float(requests * SPANS)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^52")]
pub(super) fn as_float(count: u64) -> f64 {
    count as f64
}
