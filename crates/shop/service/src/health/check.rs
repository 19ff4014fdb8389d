//! A check's verdict, with inertia.

/// What a check's results amount to.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// Why it counts as failed; `None` while it passes.
    failure: Option<String>,
    /// Results in a row that speak against the verdict.
    against: u32,
    is_first: bool,
}

impl Default for Verdict {
    fn default() -> Verdict {
        Verdict { failure: Some("not checked yet".to_owned()), against: 0, is_first: true }
    }
}

impl Verdict {
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes one result in. `failures` and `successes` in a row turn the verdict; the first success counts at once.
    pub(super) fn learn(&mut self, result: Result<(), String>, failures: u32, successes: u32) {
        match (result, &self.failure) {
            (Ok(()), None) => self.against = 0,
            (Err(reason), Some(_)) => {
                self.against = 0;
                self.failure = Some(reason);
            }
            (Ok(()), Some(_)) => {
                self.against += 1;
                if self.is_first || self.against >= successes {
                    *self = Verdict { failure: None, against: 0, is_first: false };
                }
            }
            (Err(reason), None) => {
                self.against += 1;
                if self.against >= failures {
                    *self = Verdict { failure: Some(reason), against: 0, is_first: false };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each letter is a result, `+` or `-`; the answer is the verdict after each.
    fn verdicts(results: &str) -> String {
        let mut verdict = Verdict::default();
        let after = results.chars().map(|result| {
            let result = if result == '+' { Ok(()) } else { Err("down".to_owned()) };
            verdict.learn(result, 3, 2);
            if verdict.failure().is_none() { '+' } else { '-' }
        });
        after.collect()
    }

    #[test]
    fn the_first_success_makes_ready() {
        assert_eq!(verdicts("--+"), "--+");
    }

    #[test]
    fn a_flapping_dependency_does_not_flap_us() {
        assert_eq!(verdicts("+-+--+-+"), "++++++++");
    }

    #[test]
    fn a_lasting_failure_counts_and_a_lasting_recovery_too() {
        assert_eq!(verdicts("+---+-++"), "+++----+");
    }
}
