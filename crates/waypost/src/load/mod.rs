//! `waypost load`: places orders at a gateway and reports how it went.
//!
//! For a person who wants to see the system under load, and for the benchmarks. Bounded by count and by time,
//! always. Without a rate each of the workers places its next order when the last one is answered (closed loop);
//! with a rate orders are due at fixed moments and their latency counts from the moment they were due, so that a
//! stalled system cannot hide behind a stalled client. All workers share one thread: what the generator costs is
//! part of what a machine can do.

mod mix;
mod report;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use crate::cli::LoadArgs;
use crate::client::{Answer, Client, ClientError, Target};
use crate::console::{complain, say};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::shutdown::Signals;
use report::{COMPLETED, PENDING, Report, Tally};

pub(crate) use mix::{Mix, Story};

/// Orders of a run that names neither a count nor a time.
const ORDERS: u64 = 1_000;
/// No run is longer than it says, and none without a word on time is longer than this.
const DURATION: Duration = Duration::from_mins(1);
/// A gateway answers or gives up well before.
const PATIENCE: Duration = Duration::from_secs(30);

/// One run, checked.
struct Plan {
    target: Target,
    /// `u64::MAX` when only time bounds the run.
    orders: u64,
    duration: Duration,
    concurrency: usize,
    rate: Option<f64>,
    mix: Mix,
    has_keys: bool,
}

/// Runs `waypost load`.
pub(crate) async fn load(args: LoadArgs) -> Result<Exit, Failure> {
    let target: Target = args.target.parse().or_exit(Exit::BadConfig, "--target")?;
    if !target.is_loopback() && !args.allow_remote {
        return Err(Failure::message(
            Exit::BadConfig,
            format!("{} is not on this machine; say --allow-remote if it may be put under load", args.target),
        ));
    }
    let plan = Plan {
        target,
        orders: args.orders.unwrap_or(if args.duration.is_some() { u64::MAX } else { ORDERS }),
        duration: args.duration.map_or(DURATION, Into::into),
        concurrency: usize::from(args.concurrency.get()),
        rate: args.rate,
        mix: args.mix,
        has_keys: !args.no_keys,
    };
    let mut signals = Signals::listen()?;
    let tokens = match &args.password {
        Some(password) => log_in(&plan, password).await?,
        None => Vec::new(),
    };
    let report = run(&plan, &tokens, &mut signals).await;
    if args.json {
        say(serde_json::to_string_pretty(&report).or_exit(Exit::Internal, "printing the report")?);
    } else {
        report.lines().iter().for_each(say);
    }
    let nothing_answered = report.outcomes.keys().all(|code| code.starts_with("client:"));
    if nothing_answered && report.unexpected > 0 {
        complain(format!("nothing answers at {}; is `waypost up` running there?", args.target));
        return Ok(Exit::Unavailable);
    }
    Ok(if report.unexpected == 0 { Exit::Done } else { Exit::NotWell })
}

type Tokens = Vec<(Story, HeaderValue)>;

async fn log_in(plan: &Plan, password: &str) -> Result<Tokens, Failure> {
    let mut client = Client::new(&plan.target, PATIENCE);
    let mut tokens = Vec::new();
    for story in plan.mix.stories() {
        let user = story.user();
        let header = client.log_in(user, password).await;
        let header = header.or_exit(Exit::Unavailable, format!("logging {user} in"))?;
        tokens.push((story, header));
    }
    Ok(tokens)
}

async fn run(plan: &Plan, tokens: &Tokens, signals: &mut Signals) -> Report {
    let begin = Instant::now();
    let run = Run {
        plan,
        begin,
        next: Cell::new(0),
        is_stopped: Cell::new(false),
        stop: Notify::new(),
        tally: RefCell::new(Tally::default()),
        sequence: plan.mix.sequence(),
        bodies: Story::ALL.map(|story| (story, story.body())),
        tokens,
        name: fastrand::u64(..),
    };
    let mut workers: FuturesUnordered<_> = (0..plan.concurrency).map(|_| run.work()).collect();
    let mut display = Progress::new(plan);
    loop {
        tokio::select! {
            worker = workers.next() => if worker.is_none() { break },
            () = display.tick() => display.show(run.tally.borrow().answered(), begin.elapsed()),
            _ = signals.next() => {
                // A second signal does not wait for the answers that are under way.
                if run.is_stopped.replace(true) {
                    break;
                }
                run.stop.notify_waiters();
            }
        }
    }
    display.clear();
    let took = begin.elapsed();
    run.tally.borrow().report(took, plan.concurrency, plan.rate)
}

/// What the workers share. They all run on one thread, so cells are enough.
struct Run<'a> {
    plan: &'a Plan,
    begin: Instant,
    /// The number of the next order.
    next: Cell<u64>,
    is_stopped: Cell<bool>,
    /// Wakes the workers that wait for their next order to be due.
    stop: Notify,
    tally: RefCell<Tally>,
    sequence: Vec<Story>,
    bodies: [(Story, Bytes); Story::ALL.len()],
    tokens: &'a Tokens,
    /// Tells the keys of this run from those of others.
    name: u64,
}

/// One order to be sent.
struct Due {
    story: Story,
    /// When, if there is a rate.
    at: Option<Instant>,
    /// Its `Idempotency-Key`.
    key: Option<HeaderValue>,
}

impl Run<'_> {
    async fn work(&self) {
        let mut client = Client::new(&self.plan.target, PATIENCE);
        while let Some(Due { story, at: due, key }) = self.take() {
            if let Some(due) = due {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.stop.notified() => return,
                }
            }
            let from = due.unwrap_or_else(Instant::now);
            let body = self.bodies.iter().find(|(known, _)| *known == story).map(|(_, body)| body.clone());
            let token = self.tokens.iter().find(|(known, _)| *known == story).map(|(_, token)| token);
            let answer = client.post_once("/api/orders", body.unwrap_or_default(), token, key).await;
            self.record(story, &answer, from.elapsed());
            if matches!(answer, Err(ClientError::Connect(_))) {
                // Nobody listens; further attempts would only spin.
                return;
            }
        }
    }

    /// The next order.
    fn take(&self) -> Option<Due> {
        let number = self.next.get();
        if number >= self.plan.orders || self.is_over(Instant::now()) {
            return None;
        }
        self.next.set(number + 1);
        let place = usize::try_from(number % self.sequence.len() as u64).unwrap_or_default();
        let due = self.plan.rate.map(|rate| self.begin + offset(number, rate));
        if due.is_some_and(|due| self.is_over(due)) {
            return None;
        }
        let key = format!("load-{:x}-{number}", self.name);
        let key = self.plan.has_keys.then(|| HeaderValue::try_from(key).ok()).flatten();
        Some(Due { story: self.sequence[place], at: due, key })
    }

    fn is_over(&self, at: Instant) -> bool {
        self.is_stopped.get() || at.duration_since(self.begin) >= self.plan.duration
    }

    fn record(&self, story: Story, answer: &Result<Answer, ClientError>, latency: Duration) {
        let mut tally = self.tally.borrow_mut();
        match answer {
            Ok(answer) => {
                let code = outcome(answer);
                tally.record(&code, latency, story.explains(answer.status, &code));
            }
            Err(error) => tally.record(error.code(), latency, false),
        }
    }
}

/// When order `number` is due, counted from the beginning.
fn offset(number: u64, rate: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^53 orders")]
    Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX)
}

/// The name of an answer's outcome. Only what is not a success is parsed.
fn outcome(answer: &Answer) -> String {
    match answer.status {
        StatusCode::CREATED => COMPLETED.to_owned(),
        StatusCode::ACCEPTED => PENDING.to_owned(),
        status => answer.text("code").unwrap_or_else(|| format!("status {}", status.as_u16())),
    }
}

/// The progress bar on standard error; invisible when that is no terminal.
struct Progress {
    bar: ProgressBar,
    orders: u64,
    ticks: tokio::time::Interval,
}

impl Progress {
    fn new(plan: &Plan) -> Progress {
        let is_counted = plan.orders != u64::MAX;
        let length = if is_counted { plan.orders } else { milliseconds(plan.duration) };
        let bar = ProgressBar::new(length);
        let template = if is_counted {
            "{bar:32} {pos}/{len} orders  {msg}"
        } else {
            "{bar:32} {elapsed} of the time  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Progress { bar, orders: if is_counted { plan.orders } else { 0 }, ticks }
    }

    async fn tick(&mut self) {
        self.ticks.tick().await;
    }

    fn show(&self, answered: u64, elapsed: Duration) {
        self.bar.set_position(if self.orders > 0 { answered } else { milliseconds(elapsed) });
        let rate = u128::from(answered) * 1000 / elapsed.as_millis().max(1);
        self.bar.set_message(format!("{answered} answered, {rate}/s"));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
