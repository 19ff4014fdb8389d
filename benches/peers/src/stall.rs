//! A steady stream of spans while the receiver is in trouble: what the sender's account says was created, sent and
//! dropped, and when.
//!
//! Every sender runs with its defaults. The trouble begins after a quarter of the time. The account is read when it
//! begins, when it ends, five seconds later and at the end, so that loss within the bound of the queue is told
//! apart from loss by a sender that does not recover.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::account::{Account, by_reason};
use crate::libraries::Variant;
use crate::process::Process;
use crate::producer::Fate;
use crate::receiver::{Behaviour, Counts, Receiver};
use crate::table::{Table, grouped};

/// From the end of a trouble to the reading after which nothing should be lost any more.
const RECOVERY: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Length of each run; a trouble of three seconds and the recovery must fit into three quarters of it.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(12..))]
    seconds: u64,
    /// Spans in a second.
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 40_000])]
    rates: Vec<u64>,
    /// Who sends; all but the kit keep no account, so that only what arrived is known of them.
    #[arg(long, value_delimiter = ',', default_values_t = ["kit-http".to_owned(), "kit-grpc".to_owned()])]
    variants: Vec<String>,
}

struct Trouble {
    name: &'static str,
    behaviour: Behaviour,
    /// From its beginning to its end; `None` if it lasts throughout.
    lasts: Option<Duration>,
}

const TROUBLES: [Trouble; 6] = [
    Trouble { name: "none", behaviour: Behaviour::Well, lasts: None },
    Trouble {
        name: "stalls for 200 ms",
        behaviour: Behaviour::Stalls(200),
        lasts: Some(Duration::from_millis(200)),
    },
    Trouble {
        name: "stalls for 2 s",
        behaviour: Behaviour::Stalls(2_000),
        lasts: Some(Duration::from_secs(2)),
    },
    Trouble {
        name: "says 503, Retry-After 1, for 3 s",
        behaviour: Behaviour::Refuses(3_000),
        lasts: Some(Duration::from_secs(3)),
    },
    Trouble {
        name: "cuts connections for 3 s",
        behaviour: Behaviour::Cuts(3_000),
        lasts: Some(Duration::from_secs(3)),
    },
    Trouble { name: "takes 50 ms a request", behaviour: Behaviour::Slow(50), lasts: None },
];

/// What one run gave.
struct Run {
    fate: Fate,
    arrived: Counts,
    /// Dropped until the trouble ended, in the five seconds after it, and later.
    dropped: Option<[BTreeMap<String, u64>; 3]>,
}

/// Runs every trouble at every rate and prints the table. Fails if an account does not add up, if less arrived than
/// was said to be sent, or if spans were dropped after the recovery.
pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        "sender",
        "spans/s",
        "receiver",
        "created",
        "exported",
        "arrived",
        "dropped until it ended",
        "in the 5 s after",
        "later",
        "CPU, us a span",
    ]);
    let mut faults = Vec::new();
    for variant in &options.variants {
        let variant = Variant::named(variant)?;
        for rate in &options.rates {
            for trouble in &TROUBLES {
                let run = run(&variant, *rate, options.seconds, trouble)?;
                println!("{} at {rate} spans/s, {}: {}", variant.name, trouble.name, run.line());
                faults.extend(run.faults(trouble).into_iter().map(|fault| {
                    format!("{} at {rate} spans/s, receiver {}: {fault}", variant.name, trouble.name)
                }));
                table.row(&run.cells(variant.name, *rate, trouble));
            }
        }
    }
    println!("\n### A steady stream for {} s, receiver in trouble\n", options.seconds);
    table.print();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn run(variant: &Variant, rate: u64, seconds: u64, trouble: &Trouble) -> anyhow::Result<Run> {
    let mut receiver = Receiver::start()?;
    if trouble.lasts.is_none() {
        receiver.behave(trouble.behaviour)?;
    }
    let (rate, seconds_text) = (rate.to_string(), seconds.to_string());
    let arguments = ["steady", variant.name, "--rate", &rate, "--seconds", &seconds_text];
    let mut producer = Process::start(&arguments, &variant.environment(receiver.address))?;
    producer.read::<bool>().context("the sender did not start")?;

    let mut readings = Vec::new();
    if let Some(lasts) = trouble.lasts {
        sleep(Duration::from_secs(seconds) / 4);
        receiver.behave(trouble.behaviour)?;
        sleep(lasts);
        readings.push(producer.ask::<Option<Account>>("account")?);
        sleep(RECOVERY);
        readings.push(producer.ask::<Option<Account>>("account")?);
    }
    let fate: Fate = producer.read()?;
    producer.finish()?;
    let arrived = receiver.counts()?;
    let dropped = fate.account.as_ref().and_then(|last| {
        let mut readings = readings.into_iter();
        match (readings.next(), readings.next()) {
            (Some(ended), Some(recovered)) => {
                let (ended, recovered) = (ended?, recovered?);
                let first = ended.dropped.clone();
                Some([first, recovered.dropped_since(&ended), last.dropped_since(&recovered)])
            }
            _ => Some([last.dropped.clone(), BTreeMap::new(), BTreeMap::new()]),
        }
    });
    Ok(Run { fate, arrived, dropped })
}

impl Run {
    fn line(&self) -> String {
        let arrived = grouped(self.arrived.spans);
        match &self.fate.account {
            Some(account) => format!("{account}; arrived {arrived}"),
            None => format!("created {}; arrived {arrived}", grouped(self.fate.created)),
        }
    }

    fn cells(&self, sender: &str, rate: u64, trouble: &Trouble) -> Vec<String> {
        let dropped = match &self.dropped {
            Some(dropped) => dropped.each_ref().map(by_reason),
            None => ["-", "-", "-"].map(str::to_owned),
        };
        let nanos = u64::try_from(self.fate.cpu.as_nanos()).unwrap_or(u64::MAX) / self.fate.created.max(1);
        let exported = self.fate.account.as_ref().map(|account| grouped(account.exported));
        let mut cells = vec![
            sender.to_owned(),
            grouped(rate),
            trouble.name.to_owned(),
            grouped(self.fate.created),
            exported.unwrap_or_else(|| "-".to_owned()),
            grouped(self.arrived.spans),
        ];
        cells.extend(dropped);
        cells.push(format!("{}.{:02}", nanos / 1_000, nanos % 1_000 / 10));
        cells
    }

    fn faults(&self, trouble: &Trouble) -> Vec<String> {
        let mut faults = Vec::new();
        let Some(account) = &self.fate.account else { return faults };
        if !account.is_balanced() || account.created != self.fate.created {
            faults.push(format!("{} were created and the account says: {account}", self.fate.created));
        }
        if self.arrived.spans < account.exported {
            faults.push(format!(
                "{} were said to be sent and {} arrived",
                account.exported, self.arrived.spans
            ));
        }
        let [_, _, later] = self.dropped.clone().unwrap_or_default();
        if trouble.lasts.is_some() && !later.is_empty() {
            faults.push(format!("dropped more than 5 s after it ended: {}", by_reason(&later)));
        }
        if trouble.lasts.is_none() && account.dropped_total() > 0 {
            faults.push(format!("dropped: {}", by_reason(&account.dropped)));
        }
        faults
    }
}
