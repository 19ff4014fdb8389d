//! Which calls are repeated, how often, after how long, and on which budget.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tonic::Code;

use crate::core::exchange::asked::Asked;
use crate::edges::grpc::Filter;

/// Repeats calls that failed, a few times and within a budget; see [`ChannelFactory::retries`](super::ChannelFactory::retries).
///
/// Repeated are calls that end in UNAVAILABLE before a message has come, up to three tries, 50 ms to 1 s apart with full
/// jitter, or after as long as the server says (`grpc-retry-pushback-ms`); a negative time there means never. A call is
/// repeated only while its deadline allows the wait, and only one whose message is whole before the first answer and at
/// most 256 KiB: all unary calls but the largest, and no streams of messages.
///
/// Every call pays a part of a retry into the budget of its target and every retry takes a whole one out, so that a
/// target in trouble is not called much more often: by a fifth, with a reserve of ten.
///
/// ```
/// use std::time::Duration;
/// use waypost_telemetry::grpc::{ChannelFactory, Retries};
///
/// # let telemetry = waypost_telemetry::Telemetry::disabled();
/// let retries = Retries::new()
///     .max_attempts(4)
///     .budget(10, 5)
///     .pauses(Duration::from_millis(20), Duration::from_millis(500))
///     // Reading has the effect of once however often it is done.
///     .methods(|method| method.starts_with("shop.v1.Catalogue/"));
/// let channels = ChannelFactory::new(&telemetry).retries(retries);
/// # drop(channels);
/// ```
#[derive(Clone)]
pub struct Retries {
    max_attempts: u32,
    shortest: Duration,
    longest: Duration,
    percent: u32,
    reserve: u32,
    codes: Vec<Code>,
    methods: Option<Filter>,
}

impl Retries {
    /// As it says above.
    pub fn new() -> Self {
        Self {
            max_attempts: 3,
            shortest: Duration::from_millis(50),
            longest: Duration::from_secs(1),
            percent: 20,
            reserve: 10,
            codes: vec![Code::Unavailable],
            methods: None,
        }
    }

    /// Tries in all, 1 to 5.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.clamp(1, 5);
        self
    }

    /// `percent` retries for every hundred calls, at most 100, and how many may be saved up, which is also what there is
    /// to begin with. A budget is that of one target.
    #[must_use]
    pub fn budget(mut self, percent: u32, reserve: u32) -> Self {
        (self.percent, self.reserve) = (percent.min(100), reserve);
        self
    }

    /// How long to wait before the second try and before the last, at most; the truth is drawn between nothing and that.
    #[must_use]
    pub fn pauses(mut self, shortest: Duration, longest: Duration) -> Self {
        (self.shortest, self.longest) = (shortest, longest);
        self
    }

    /// The codes that are repeated, in place of UNAVAILABLE.
    #[must_use]
    pub fn codes(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.codes = codes.into_iter().collect();
        self
    }

    /// The methods that may be called again; all unless said. Is given `package.Service/Method`; where it panics the
    /// call is not repeated.
    #[must_use]
    pub fn methods(mut self, may_be_repeated: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.methods = Some(Arc::new(Asked::new("`methods` of retries", may_be_repeated)));
        self
    }

    pub(super) fn may_repeat_method(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|asked| asked.ask(false, |may_be_repeated| may_be_repeated(method)))
    }

    /// How long to wait after try number `attempt`, if there may be another one.
    pub(super) fn wait_after(&self, attempt: u32, code: Code, pushback: Pushback) -> Option<Duration> {
        if attempt >= self.max_attempts || !self.codes.contains(&code) {
            return None;
        }
        match pushback {
            Pushback::Never => None,
            Pushback::Wait(wait) => Some(wait),
            Pushback::Silent => {
                let limit = self.shortest.saturating_mul(1 << (attempt - 1).min(16)).min(self.longest);
                Some(limit.mul_f64(fastrand::f64()))
            }
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries").field("max_attempts", &self.max_attempts).finish_non_exhaustive()
    }
}

/// What the server says about trying again (gRFC A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushback {
    Silent,
    Wait(Duration),
    Never,
}

impl Pushback {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get("grpc-retry-pushback-ms") else { return Self::Silent };
        // What cannot be read as a time to wait means not to try again.
        let millis = value.to_str().ok().and_then(|text| text.parse::<u32>().ok());
        millis.map_or(Self::Never, |millis| Self::Wait(Duration::from_millis(millis.into())))
    }
}

/// How many retries all calls to one target may make together. No clock is in it: a target that nobody calls needs none.
#[derive(Debug)]
pub(super) struct Budget {
    /// Thousandths of a retry.
    balance: AtomicU32,
    deposit: u32,
    most: u32,
}

const RETRY: u32 = 1000;

impl Budget {
    pub(super) fn of(retries: &Retries) -> Self {
        let most = retries.reserve.saturating_mul(RETRY);
        Self { balance: AtomicU32::new(most), deposit: retries.percent * (RETRY / 100), most }
    }

    /// Pays in for a call.
    pub(super) fn deposit(&self) {
        // Relaxed: the number stands for itself and orders nothing else.
        let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            Some(now.saturating_add(self.deposit).min(self.most))
        });
    }

    /// Takes out a retry, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        let taken =
            self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| now.checked_sub(RETRY));
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_add_no_more_than_their_part_to_the_load() {
        let budget = Budget::of(&Retries::new().budget(20, 3));
        let spent = (0..10).filter(|_| budget.withdraw()).count();
        assert_eq!(spent, 3);
        let mut repeated = 0;
        for _ in 0..1_000 {
            budget.deposit();
            repeated += u32::from(budget.withdraw());
        }
        assert_eq!(repeated, 200);
    }

    #[test]
    fn a_server_says_how_long_to_wait_and_when_not_to() {
        let said = |text: &'static str| {
            Pushback::of(&HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-retry-pushback-ms"),
                http::HeaderValue::from_static(text),
            )]))
        };
        let retries = Retries::new();
        let wait = |pushback| retries.wait_after(1, Code::Unavailable, pushback);
        assert_eq!(wait(said("7")), Some(Duration::from_millis(7)));
        assert_eq!((wait(said("-1")), wait(said("soon"))), (None, None));
        assert!(wait(Pushback::of(&HeaderMap::new())).is_some_and(|wait| wait <= Duration::from_millis(50)));
        assert_eq!(retries.wait_after(3, Code::Unavailable, Pushback::Silent), None);
        assert_eq!(retries.wait_after(1, Code::Internal, Pushback::Silent), None);
    }
}
