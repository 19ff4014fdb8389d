//! Which versions of a service sent spans, and when: what a chart marks as a deployment.
//!
//! A version is one stretch of time from its first span to its last. While an old and a new version run side by side both
//! stretches go on; a version that comes back after [`ABSENCE`] while another was there begins a new one, since that is a
//! deployment too.

use std::collections::VecDeque;
use waypost_trace_model::{Resource, Text, Value};

const KEY: &str = "service.version";
/// Stretches of one service.
const MAX: usize = 32;
/// Bytes of the longest version that is kept.
const VERSION_BYTES: usize = 128;
/// How long a version may be silent, in nanoseconds, without being gone.
const ABSENCE: u64 = 10 * 60_000_000_000;

/// A stretch of time in which a version of a service sent spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its `service.version`.
    pub version: Text,
    /// When its first span came, in nanoseconds since 1970.
    pub first: u64,
    /// When its last span came.
    pub last: u64,
}

/// The stretches of one service, by their beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deployments(VecDeque<Deployment>);

impl Deployments {
    /// Takes into account that this resource sent spans at `now`.
    pub(crate) fn observe(&mut self, resource: &Resource, now: u64) {
        let version = resource.attributes.iter().find(|attribute| &*attribute.key == KEY);
        let Some(Value::Text(version)) = version.map(|attribute| &attribute.value) else { return };
        if version.is_empty() || version.len() > VERSION_BYTES {
            return;
        }
        let newest = self.0.len().saturating_sub(1);
        let known = self.0.iter().rposition(|one| *one.version == **version);
        let place = known.filter(|place| {
            *place == newest || self.0.get(*place).is_some_and(|one| now.saturating_sub(one.last) < ABSENCE)
        });
        match place.and_then(|place| self.0.get_mut(place)) {
            Some(known) => known.last = known.last.max(now),
            None => self.push(Deployment { version: Text::from(&**version), first: now, last: now }),
        }
    }

    pub(crate) fn list(&self) -> &VecDeque<Deployment> {
        &self.0
    }

    /// Puts back what was read from a checkpoint.
    pub(crate) fn restore(&mut self, list: Vec<Deployment>) {
        if self.0.is_empty() {
            for deployment in list {
                self.push(deployment);
            }
        }
    }

    fn push(&mut self, deployment: Deployment) {
        if self.0.len() >= MAX {
            self.0.pop_front();
        }
        self.0.push_back(deployment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_trace_model::Attribute;

    const MINUTE: u64 = 60_000_000_000;

    fn seen(versions: &[(&str, u64)]) -> Vec<(String, u64, u64)> {
        let mut deployments = Deployments::default();
        for (version, minute) in versions {
            let value = Value::Text((*version).into());
            let attributes = vec![Attribute { key: KEY.into(), value }];
            deployments.observe(&Resource::new(attributes, 0, "".into()), minute * MINUTE);
        }
        let list = deployments.list().iter();
        list.map(|one| (one.version.to_string(), one.first / MINUTE, one.last / MINUTE)).collect()
    }

    #[test]
    fn versions_side_by_side_are_one_deployment_each() {
        let side_by_side = [("1", 1), ("2", 5), ("1", 6), ("2", 7), ("1", 8), ("2", 90)];
        assert_eq!(seen(&side_by_side), [("1".into(), 1, 8), ("2".into(), 5, 90)]);
    }

    #[test]
    fn a_version_that_comes_back_is_another_deployment() {
        let back = [("1", 1), ("2", 5), ("2", 19), ("1", 20), ("1", 300)];
        assert_eq!(seen(&back), [("1".into(), 1, 1), ("2".into(), 5, 19), ("1".into(), 20, 300)]);
    }

    #[test]
    fn only_the_latest_are_kept_and_no_version_is_none() {
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let many: Vec<(&str, u64)> =
            many.iter().zip(1..).map(|(version, minute)| (&**version, minute)).collect();
        let kept = seen(&many);
        assert_eq!((kept.len(), kept[MAX - 1].0.as_str()), (MAX, "99"));
        assert_eq!(seen(&[("", 1), (&"9".repeat(VERSION_BYTES + 1), 2)]), []);
    }
}
