//! Ground truth: what findings and "what is different" say of days with faults at known times and places, and of days without.
//!
//! Every operation is asked of in every hour as a person would: are its failed or slow spans more than usual, what is different
//! about them, and what do its traces show. What is said in an hour with a fault has to name it, and in
//! every other hour nothing may be said. The table of it is printed (`--nocapture`).

use crate::{
    day::{FAULTS, Fault, HOUR, MIDNIGHT, hour},
    viewer::{Viewer, in_time},
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _, ops::Range};
use tempfile::TempDir;

const OPERATIONS: [(&str, &str, u64); 5] = [
    // Milliseconds of a slow one: half as much again as the slowest of a hundred usually takes.
    ("gateway", "GET /api/products", 34),
    ("gateway", "POST /api/orders", 105),
    ("order", "CreateOrder", 95),
    ("inventory", "Reserve", 30),
    ("payment", "Authorise", 80),
];

/// What was said: hour, operation, and a sentence such as `slow: service.version=2.3.0` or `repeated_call in order`.
type Said = BTreeMap<(u64, &'static str), Vec<String>>;

/// Spans of a sort from which on a person asks what is different about them, and the difference of shares that is an answer.
const MIN_SELECTED: u64 = 8;
const MIN_DIFFERENCE: f64 = 0.5;
const WITH_BEFORE: &str = "slow, with the hour before";
/// The part of the traces that has to show a finding.
const MIN_SHARE: f64 = 0.1;

fn percent(text: &str) -> String {
    text.replace(' ', "%20").replace('/', "%2F")
}

/// Of hours of the day, of which the viewer has the spans.
async fn said(viewer: &Viewer, hours: Range<u64>) -> Said {
    let mut said = Said::new();
    for at in hours {
        let (from, to) = (MIDNIGHT + at * HOUR, MIDNIGHT + (at + 1) * HOUR - 1);
        for (service, operation, slow) in OPERATIONS {
            let of = format!("service={service}&operation={}&kind=server", percent(operation));
            let place = format!("{of}&from={from}&to={to}");
            let mut told = Vec::new();
            for (sort, selected, begin) in [
                ("failed", "status%3Derror".to_owned(), from),
                ("slow", format!("min_duration%3D{slow}ms"), from),
                // What came with this hour is different from the one before.
                (WITH_BEFORE, format!("min_duration%3D{slow}ms"), from - HOUR),
            ] {
                let question = format!("/differences?selected={selected}&{of}&from={begin}&to={to}");
                told.extend(different(&viewer.api(&question).await).map(|what| format!("{sort}: {what}")));
            }
            let answer = viewer.api(&format!("/aggregate?traces=80&from_match=true&{place}")).await;
            told.extend(findings(&answer));
            if !told.is_empty() {
                said.insert((at, operation), told);
            }
        }
    }
    said
}

/// What stands first of what is different; `all of them` where there is no rest to differ from.
fn different(answer: &Value) -> Option<String> {
    let number = |value: &Value| value.as_u64().unwrap();
    let (selected, rest) = (number(&answer["selected"]), number(&answer["rest"]));
    if selected < MIN_SELECTED {
        return None;
    }
    if rest * 4 < selected {
        return Some("nearly all".to_owned());
    }
    let first = answer["differences"].as_array().unwrap().iter().find(|one| {
        // That they failed or were slow is known.
        !["status", "message"].contains(&one["field"].as_str().unwrap())
    })?;
    let share = |side: &str| first[side].as_f64().unwrap();
    let is_clear = share("selected_share") - share("rest_share") >= MIN_DIFFERENCE;
    Some(if is_clear {
        format!("{}={}", first["field"].as_str().unwrap(), first["value"].as_str().unwrap())
    } else {
        "nothing is different".to_owned()
    })
}

fn findings(answer: &Value) -> Vec<String> {
    let traces = answer["traces"].as_f64().unwrap();
    let findings = answer["findings"].as_array().unwrap().iter();
    let often = findings.filter(|finding| finding["traces"].as_f64().unwrap() >= traces * MIN_SHARE);
    often
        .map(|finding| {
            format!("{} in {}", finding["kind"].as_str().unwrap(), finding["service"].as_str().unwrap())
        })
        .collect()
}

/// What names a fault, and at which operation.
fn names(fault: Fault) -> &'static [(&'static str, &'static str)] {
    match fault {
        Fault::Regression => &[
            ("GET /api/products", "slow: nearly all"),
            ("GET /api/products", "slow, with the hour before: resource:service.version=1.5.0"),
        ],
        Fault::RepeatedCalls => &[
            ("CreateOrder", "repeated_call in order"),
            ("CreateOrder", "slow: resource:service.version=2.3.0"),
        ],
        Fault::BadInstance => &[("Reserve", "slow: resource:service.instance.id=inventory-2")],
        Fault::ErrorBurst => {
            &[("Authorise", "failed: span:card.brand=amex"), ("CreateOrder", "retries in order")]
        }
        Fault::CacheLoss => &[("GET /api/products", "cache_miss in gateway")],
        Fault::SlowDatabase => {
            &[("Reserve", "slow: nearly all"), ("Reserve", "slow_dependency in inventory")]
        }
    }
}

#[tokio::test]
async fn findings_and_differences_name_the_faults_of_a_day_and_nothing_else() {
    let mut table = String::from("| fault | said by | found |\n|---|---|---|\n");
    let seeds = [21, 22];
    let (mut days, mut missed, mut false_alarms) = (Vec::new(), Vec::new(), Vec::new());
    for (seed, has_faults) in [(seeds[0], true), (seeds[1], true), (23, false)] {
        let mut day = Said::new();
        // A viewer for some hours each, so that questions read little.
        for hours in (0..24).step_by(4).map(|first| first..first + 4) {
            let folder = TempDir::new().unwrap();
            let viewer = Viewer::kept_in(&folder);
            for at in hours.clone() {
                viewer.import(&hour(seed, at, has_faults)).await;
            }
            day.extend(said(&viewer, hours).await);
            in_time(viewer.close()).await;
        }
        let is_fault = |at: u64| has_faults && FAULTS.iter().any(|(_, hour)| *hour == at);
        for ((at, operation), told) in day.iter().filter(|((at, _), _)| !is_fault(*at)) {
            let is_over = |one: &&String| one.starts_with(WITH_BEFORE) && is_fault(at.wrapping_sub(1));
            for one in told.iter().filter(|one| !is_over(one)) {
                false_alarms.push(format!("seed {seed}, {at}:00, {operation}: {one}"));
            }
        }
        if has_faults {
            days.push(day);
        }
    }
    for (fault, at) in FAULTS {
        for (operation, what) in names(fault) {
            let is_told = |day: &&Said| {
                day.get(&(at, *operation)).is_some_and(|told| told.iter().any(|one| one == what))
            };
            let found = days.iter().filter(is_told).count();
            writeln!(table, "| {fault:?} | {operation}: {what} | {found} of {} |", days.len()).unwrap();
            if found < days.len() {
                let told: Vec<_> = days.iter().map(|day| day.get(&(at, *operation))).collect();
                missed.push(format!("{fault:?} at {operation}: {what}; said was {told:?}"));
            }
        }
    }
    let asked = OPERATIONS.len() * (24 * 3 - FAULTS.len() * 2);
    println!(
        "{table}\nfalse alarms in {asked} hours of an operation without a fault: {}",
        false_alarms.len()
    );
    assert_eq!(missed, [""; 0]);
    assert_eq!(false_alarms, [""; 0]);
}
