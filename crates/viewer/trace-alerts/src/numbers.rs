//! Where figures come from.

use std::ops::Range;
use waypost_trace_model::{Kind, Text};
use waypost_trace_statistics::{Hour, Statistics, Step, Subject};

/// Figures that rules are held against. Times are nanoseconds since 1970.
pub trait Numbers {
    /// A subject's figures over the buckets that a window touches; `None` when nothing of it ever came.
    fn window(&self, subject: &Subject, window: &Range<u64>) -> Option<Step>;
    /// The hour of the day of this moment on earlier days, the latest first.
    fn same_hours(&self, subject: &Subject, at: u64) -> Vec<Hour>;
    /// What has at least so many calls in the window and is worth watching.
    fn busy(&self, window: &Range<u64>, min_calls: u64) -> Vec<Subject>;
    /// Every service.
    fn services(&self) -> Vec<Text>;
    /// Every operation of a service.
    fn operations(&self, service: &str) -> Vec<(Text, Kind)>;
    /// When the first span ever came.
    fn first_arrival(&self) -> Option<u64>;
}

impl Numbers for Statistics {
    fn window(&self, subject: &Subject, window: &Range<u64>) -> Option<Step> {
        Statistics::window(self, subject, window)
    }

    fn same_hours(&self, subject: &Subject, at: u64) -> Vec<Hour> {
        Statistics::same_hours(self, subject, at)
    }

    fn busy(&self, window: &Range<u64>, min_calls: u64) -> Vec<Subject> {
        Statistics::busy(self, window, min_calls)
    }

    fn services(&self) -> Vec<Text> {
        Statistics::services(self)
    }

    fn operations(&self, service: &str) -> Vec<(Text, Kind)> {
        Statistics::operations(self, service)
    }

    fn first_arrival(&self) -> Option<u64> {
        Statistics::first_arrival(self)
    }
}
