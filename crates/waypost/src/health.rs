//! `waypost health`: one question to the admin listener of the running process, one line, an exit code.
//!
//! For images without a shell (`HEALTHCHECK`), for systemd and for scripts. What does not answer is as unwell as what says
//! so: both end with 1, because Docker keeps all other codes for itself.

use crate::cli::HealthArgs;
use crate::client::ClientError;
use crate::console::say;
use crate::exit::{Exit, Failure};
use crate::operator::Admin;

/// Asks `/readyz`, or `/livez`, and says what is wrong when something is.
pub(crate) async fn health(args: HealthArgs, admin: Admin) -> Result<Exit, Failure> {
    let (path, well, unwell) =
        if args.live { ("/livez", "alive", "not alive") } else { ("/readyz?verbose", "ready", "not ready") };
    let url = admin.url();
    match admin.probe(path, args.timeout.get()).await {
        Ok(answer) if answer.status.is_success() => {
            say(format!("{well}: {url}"));
            Ok(Exit::Done)
        }
        Ok(answer) => {
            let reasons = reasons(&String::from_utf8_lossy(&answer.body));
            say(format!("{unwell}: {url}: {}", reasons.unwrap_or_else(|| answer.status.to_string())));
            Ok(Exit::NotWell)
        }
        Err(error) => {
            say(format!("{unwell}: {url}: {}", chain(&error)));
            Ok(Exit::NotWell)
        }
    }
}

/// The checks that failed, on one line.
fn reasons(report: &str) -> Option<String> {
    let failed: Vec<&str> = report.lines().filter_map(|line| line.strip_prefix("failed ")).collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

/// The error and its causes on one line.
fn chain(error: &ClientError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::reasons;

    #[test]
    fn only_what_failed_is_said_and_on_one_line() {
        let report =
            "failed process: draining\nok order/database\nwarn order/stuck: 1\nfailed order/relay: away\n";
        assert_eq!(reasons(report).unwrap(), "process: draining; order/relay: away");
        assert_eq!(reasons("failed\n"), None);
    }
}
