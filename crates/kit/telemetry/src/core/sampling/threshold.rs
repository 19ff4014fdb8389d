//! Consistent probability sampling: a threshold against the randomness of a trace.
//!
//! As in <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>. The randomness is the member
//! `ot=rv` of the trace state, else the last 56 bits of the trace id, which W3C Trace Context level 2 has random and which
//! those of older callers are taken to be as well. A trace is sampled where its randomness is not below the threshold, so
//! of two thresholds the higher one takes a part of what the lower one takes. The threshold in force travels as `ot=th`.

use std::fmt;

use opentelemetry::trace::TraceId;

/// Digits of a threshold, and of an explicit randomness.
const DIGITS: usize = 14;
/// One more than the largest randomness.
const ALL: u64 = 1 << 56;
/// Digits that a threshold made from a ratio keeps behind those that are all one or all zero.
const PRECISION: usize = 4;
/// The member of the trace state.
pub(super) const KEY: &str = "ot";

/// Below which randomness a trace is left out: 56 bits, 0 takes all.
///
/// ```
/// use waypost_telemetry::sampling::Threshold;
///
/// let tenth = Threshold::of_ratio(0.1).unwrap();
/// assert_eq!(tenth.to_string(), "e666");
/// assert!((tenth.adjusted_count() - 10.0).abs() < 0.001);
/// assert_eq!(Threshold::of_ratio(0.0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Threshold(u64);

impl Threshold {
    /// Takes every trace.
    pub const EVERYTHING: Self = Self(0);

    /// Takes this share of the traces, 0 to 1; `None` for none of them. The share is kept to about four digits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "the ratio is clamped to 0..=1, so the product lies within 0..=2^56"
    )]
    pub fn of_ratio(ratio: f64) -> Option<Self> {
        let taken = (ratio.clamp(0.0, 1.0) * ALL as f64).round() as u64;
        if taken == 0 {
            return None;
        }
        let exact = ALL - taken.min(ALL);
        let digits = format!("{exact:014x}");
        let same = |digit: char| digits.chars().take_while(|other| *other == digit).count();
        let kept = PRECISION + same('f').max(same('0'));
        if kept >= DIGITS {
            return Some(Self(exact));
        }
        let shift = 4 * (DIGITS - kept);
        let rounded = (exact + (1 << (shift - 1))) >> shift << shift;
        Some(Self(if rounded < ALL { rounded } else { exact }))
    }

    /// How many traces one that was sampled stands for.
    #[expect(clippy::cast_precision_loss, reason = "53 of 56 bits are precision enough for a count")]
    pub fn adjusted_count(self) -> f64 {
        ALL as f64 / (ALL - self.0) as f64
    }

    /// Whether a trace with this randomness is sampled.
    pub fn takes(self, randomness: Randomness) -> bool {
        randomness.0 >= self.0
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// `None` for what is no threshold.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits < ALL).then_some(Self(bits))
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > DIGITS {
            return None;
        }
        Some(Self(hex(text)? << (4 * (DIGITS - text.len()))))
    }
}

/// As it travels: without the zeros at its end, and `0` for all.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:014x}", self.0);
        let digits = digits.trim_end_matches('0');
        f.write_str(if digits.is_empty() { "0" } else { digits })
    }
}

/// The randomness that all spans of a trace share: 56 bits.
///
/// ```
/// use waypost_telemetry::opentelemetry::trace::TraceId;
/// use waypost_telemetry::sampling::{Randomness, Threshold};
///
/// let half = Threshold::of_ratio(0.5).unwrap();
/// assert!(half.takes(Randomness::of(TraceId::from(0x80_0000_0000_0000))));
/// assert!(!half.takes(Randomness::of(TraceId::from(0x7f_ffff_ffff_ffff))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Randomness(u64);

impl Randomness {
    /// Of a trace id, without a look at the trace state.
    pub fn of(trace_id: TraceId) -> Self {
        let last = u128::from_be_bytes(trace_id.to_bytes()) & u128::from(ALL - 1);
        // 56 bits always fit.
        Self(u64::try_from(last).unwrap_or_default())
    }
}

/// The member `ot` of a trace state, as far as it concerns sampling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OtMember<'a> {
    pub(super) threshold: Option<Threshold>,
    pub(super) randomness: Option<Randomness>,
    /// Everything but the threshold, as it came.
    others: Vec<&'a str>,
}

impl<'a> OtMember<'a> {
    /// What is not understood of it is passed on.
    pub(super) fn parse(value: &'a str) -> Self {
        let mut member = Self::default();
        for entry in value.split(';').filter(|entry| !entry.is_empty()) {
            match entry.split_once(':') {
                Some(("th", digits)) => member.threshold = Threshold::parse(digits),
                Some(("rv", digits)) => {
                    member.others.push(entry);
                    let is_whole = digits.len() == DIGITS;
                    member.randomness = hex(digits).filter(|_| is_whole).map(Randomness);
                }
                _ => member.others.push(entry),
            }
        }
        member
    }

    /// The member with another threshold, or without one. Empty if nothing is left to say.
    pub(super) fn with_threshold(&self, threshold: Option<Threshold>) -> String {
        let threshold = threshold.map(|threshold| format!("th:{threshold}"));
        let entries = threshold.as_deref().into_iter().chain(self.others.iter().copied());
        entries.collect::<Vec<_>>().join(";")
    }
}

/// Lower case only.
fn hex(digits: &str) -> Option<u64> {
    let is_hex = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the tables of the specification.
    #[test]
    fn ratios_have_the_thresholds_of_the_specification() {
        for (ratio, written) in
            [(1.0, "0"), (0.5, "8"), (0.25, "c"), (0.1, "e666"), (0.01, "fd70a"), (1.0 / 3.0, "aaab")]
        {
            assert_eq!(Threshold::of_ratio(ratio).unwrap().to_string(), written, "{ratio}");
        }
        assert_eq!(Threshold::of_ratio(0.0), None);
        assert_eq!(Threshold::of_ratio(1e-30), None);
        assert_eq!(Threshold::of_ratio(7.0), Some(Threshold::EVERYTHING));
        let least = Threshold::of_ratio(2f64.powi(-56)).unwrap();
        assert_eq!(least.to_string(), "f".repeat(14));
        let close = Threshold::of_ratio(1e-10).unwrap();
        assert!((close.adjusted_count() / 1e10 - 1.0).abs() < 1e-3, "{}", close.adjusted_count());
    }

    #[test]
    fn a_member_is_read_and_what_it_has_besides_is_kept() {
        let member = OtMember::parse("th:c;rv:6e6d1a75832a2f;x:y");
        assert_eq!(member.threshold, Threshold::of_ratio(0.25));
        assert_eq!(member.randomness, Some(Randomness(0x6e_6d1a_7583_2a2f)));
        assert_eq!(member.with_threshold(None), "rv:6e6d1a75832a2f;x:y");
        assert_eq!(member.with_threshold(Some(Threshold::EVERYTHING)), "th:0;rv:6e6d1a75832a2f;x:y");
        for broken in ["th:", "th:g", "th:C", "th:123456789012345", "rv:6e6d", "rv:6E6D1A75832A2F", ";;"] {
            let member = OtMember::parse(broken);
            assert_eq!((member.threshold, member.randomness), (None, None), "{broken}");
        }
    }

    #[test]
    fn the_randomness_is_the_end_of_the_trace_id() {
        let id = TraceId::from(0x0123_4567_89ab_cdef_fedc_ba98_7654_3210);
        assert_eq!(Randomness::of(id), Randomness(0xdc_ba98_7654_3210));
    }
}
