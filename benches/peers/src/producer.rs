//! The process whose cost is measured: one thread that creates spans, and what the library runs beside it.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::libraries::{Library, Variant};
use crate::order::{self, Order};
use crate::{allocations, clock, process};

/// Between two bursts, so that export goes on beside creation as it does in a service.
const PAUSE: Duration = Duration::from_millis(3);
/// Bursts between two flushes: what waits stays within half of the queue, for whoever falls behind at this pace too.
/// What becomes of a queue that is full is another measurement.
const BURSTS_A_FLUSH: u64 = 16;
/// Requests before the measurement: connections, caches, capacity.
pub(crate) const WARM_UP: u64 = 8_192;

#[derive(Debug, clap::Args)]
pub(crate) struct BurstOptions {
    variant: String,
    #[arg(long)]
    requests: u64,
    #[arg(long)]
    count_allocations: bool,
}

/// What one run of bursts took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Why the library could not be started as asked; nothing else is set then.
    pub(crate) unsupported: Option<String>,
    /// Measured requests.
    pub(crate) requests: u64,
    /// CPU of the creating thread within bursts.
    pub(crate) create: Duration,
    /// CPU of the whole process from the first burst to the end of the flush.
    pub(crate) total: Duration,
    /// Allocations of the creating thread within bursts.
    pub(crate) thread_allocations: u64,
    /// Allocations of the whole process from the first burst to the end of the flush.
    pub(crate) process_allocations: u64,
    pub(crate) account: Option<Account>,
}

/// Creates spans in bursts as fast as it can, flushes, and writes its [`Cost`].
pub(crate) fn bursts(options: &BurstOptions) -> anyhow::Result<()> {
    clock::pin(clock::MEASURED);
    let cost = match Variant::named(&options.variant)?.open() {
        Ok(library) => measured(library.as_ref(), options),
        Err(error) => Cost { unsupported: Some(format!("{error:#}").replace('\n', " ")), ..Cost::default() },
    };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

fn measured(library: &dyn Library, options: &BurstOptions) -> Cost {
    let orders = order::orders();
    // Whole bursts: each goes once round all orders, 512 spans.
    let burst = orders.len() as u64;
    let bursts = options.requests / burst;
    let mut cost = Cost { requests: bursts * burst, ..Cost::default() };
    run(library, &orders, WARM_UP / burst, &mut Cost::default());

    if options.count_allocations {
        allocations::start();
    }
    let begun = clock::process_cpu();
    run(library, &orders, bursts, &mut cost);
    cost.total = clock::process_cpu().saturating_sub(begun);
    cost.process_allocations = allocations::of_process();

    library.shutdown();
    cost.account = library.account();
    cost
}

fn run(library: &dyn Library, orders: &[Order], bursts: u64, cost: &mut Cost) {
    for number in 1..=bursts {
        burst(library, orders, cost);
        sleep(PAUSE);
        if number.is_multiple_of(BURSTS_A_FLUSH) {
            library.flush();
        }
    }
    library.flush();
}

fn burst(library: &dyn Library, orders: &[Order], cost: &mut Cost) {
    let (begun, allocated) = (clock::thread_cpu(), allocations::of_thread());
    for order in orders {
        library.request(order);
    }
    cost.create += clock::thread_cpu().saturating_sub(begun);
    cost.thread_allocations += allocations::of_thread() - allocated;
}

#[derive(Debug, clap::Args)]
pub(crate) struct SteadyOptions {
    variant: String,
    /// Spans in a second.
    #[arg(long)]
    rate: u64,
    #[arg(long)]
    seconds: u64,
}

/// What became of a steady stream of spans.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fate {
    pub(crate) created: u64,
    /// CPU of the whole process.
    pub(crate) cpu: Duration,
    pub(crate) account: Option<Account>,
}

/// Creates spans at a steady rate and answers `account` meanwhile; at the end writes its [`Fate`]. Writes a line when
/// it begins.
pub(crate) fn steady(options: &SteadyOptions) -> anyhow::Result<()> {
    clock::pin(clock::MEASURED);
    let library = Variant::named(&options.variant)?.open()?;
    println!("true");
    let asked: Arc<dyn Library> = Arc::clone(&library);
    process::answer_lines(move |_| Ok(serde_json::to_string(&asked.account())?));

    let created = create(library.as_ref(), options);
    library.flush();
    library.shutdown();
    let fate = Fate { created, cpu: clock::process_cpu(), account: library.account() };
    println!("{}", serde_json::to_string(&fate)?);
    Ok(())
}

/// A few requests each millisecond; after a late wake-up it catches up.
fn create(library: &dyn Library, options: &SteadyOptions) -> u64 {
    let orders = order::orders();
    let mut orders = orders.iter().cycle();
    let begun = Instant::now();
    let mut requests = 0;
    loop {
        let elapsed = begun.elapsed().min(Duration::from_secs(options.seconds));
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let due = options.rate * millis / 1_000 / order::SPANS;
        for order in orders.by_ref().take(usize::try_from(due.saturating_sub(requests)).unwrap_or_default()) {
            library.request(order);
        }
        requests = due;
        if elapsed.as_secs() >= options.seconds {
            return requests * order::SPANS;
        }
        sleep(Duration::from_millis(1));
    }
}
