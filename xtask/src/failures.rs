//! Which tests failed, and what each said first: thousands of lines after them it is what a reader of the log looks for.

use std::io::{BufRead, Write};

/// How many lines of what a failed test said are told again; the whole stands where it ran.
const LINES: usize = 8;

/// How long one of these lines may be, in characters.
const WIDTH: usize = 400;

/// How many tests are told again with what they said; of further ones only the name is.
const TOLD: usize = 12;

/// A test that failed, or an example of the documentation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    name: String,
    said: Vec<String>,
}

/// Copies the output of test programs as it comes and gives the failures in it.
///
/// Errors of reading end it; those of writing, a closed pipe, do not.
pub(crate) fn collect(mut from: impl BufRead, mut to: impl Write) -> std::io::Result<Vec<Failure>> {
    let mut found = Found::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        let _ = to.write_all(&line);
        // A line without its end is a question to somebody, or a program that died.
        let _ = to.flush();
        found.line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(found.failures)
}

/// The failures as the end of a log.
pub(crate) fn summary(failures: &[Failure]) -> String {
    let mut lines = vec![format!("== {} failed", failures.len())];
    for (number, failure) in failures.iter().enumerate() {
        lines.push(format!("- {}", failure.name));
        lines.extend(failure.said.iter().filter(|_| number < TOLD).map(|line| format!("    {line}")));
    }
    lines.join("\n") + "\n"
}

#[derive(Default)]
struct Found {
    /// Between the head `failures:` and the list of names, which has the same head.
    is_telling: bool,
    failures: Vec<Failure>,
}

impl Found {
    fn line(&mut self, line: &str) {
        if line == "failures:" {
            self.is_telling = !self.is_telling;
            return;
        }
        if !self.is_telling {
            return;
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" stdout ----")) {
            self.failures.push(Failure { name: name.to_owned(), said: Vec::new() });
        } else if let Some(failure) = self.failures.last_mut()
            && failure.said.len() < LINES
            && !line.is_empty()
        {
            failure.said.push(line.chars().take(WIDTH).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 3 tests
test good ... ok
test orders::bad ... FAILED
test src/lib.rs - thing (line 7) ... FAILED

failures:

---- orders::bad stdout ----

thread 'orders::bad' (12) panicked at tests/it/orders.rs:7:9:
assertion failed: one

---- src/lib.rs - thing (line 7) stdout ----
error[E0425]: cannot find value `x`

failures:
    orders::bad
    src/lib.rs - thing (line 7)

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn the_output_is_handed_on_and_failures_are_told_with_what_they_said() {
        let mut copy = Vec::new();
        let twice = OUTPUT.repeat(2);
        let failures = collect(twice.as_bytes(), &mut copy).unwrap();
        assert_eq!(String::from_utf8(copy).unwrap(), twice);
        let one = "\
- orders::bad
    thread 'orders::bad' (12) panicked at tests/it/orders.rs:7:9:
    assertion failed: one
- src/lib.rs - thing (line 7)
    error[E0425]: cannot find value `x`
";
        assert_eq!(summary(&failures), format!("== 4 failed\n{one}{one}"));
    }

    #[test]
    fn long_lines_many_lines_and_many_failures_are_cut() {
        let said = format!("{}\n", "é".repeat(1000)).repeat(100);
        let failure = format!("failures:\n\n---- a stdout ----\n{said}\nfailures:\n    a\n\n");
        let failures = collect(failure.repeat(20).as_bytes(), Vec::new()).unwrap();
        let summary = summary(&failures);
        assert_eq!(summary.lines().count(), 1 + 20 + TOLD * LINES);
        assert_eq!(summary.matches('é').count(), TOLD * LINES * WIDTH);
    }

    #[test]
    fn what_cannot_be_read_as_text_is_handed_on_as_it_is() {
        let bytes = b"failures:\n---- a stdout ----\n\xff\xfe\nhalf a line";
        let mut copy = Vec::new();
        let failures = collect(&bytes[..], &mut copy).unwrap();
        assert_eq!(copy, bytes);
        assert_eq!(failures[0].said, ["\u{fffd}\u{fffd}", "half a line"]);
    }
}
