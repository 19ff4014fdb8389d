//! How a server carried statements out, read from what it logs of their plans.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::own_postgres::OwnPostgres;

/// Of a server that logs the plan of each statement that ends.
const SETTINGS: [(&str, &str); 7] = [
    ("session_preload_libraries", "auto_explain"),
    ("auto_explain.log_min_duration", "0"),
    ("auto_explain.log_analyze", "on"),
    ("auto_explain.log_timing", "off"),
    // Of functions, too.
    ("auto_explain.log_nested_statements", "on"),
    ("fsync", "off"),
    ("maintenance_work_mem", "256MB"),
];

/// A statement and how it was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Its text on one line.
    pub statement: String,
    /// The steps that read rows, such as `Index Scan using orders_pkey on orders`, each once.
    pub steps: Vec<String>,
    /// How long each run took, in milliseconds, the shortest first.
    pub times: Vec<f64>,
}

/// A server that logs plans.
pub fn start() -> OwnPostgres {
    OwnPostgres::start(&SETTINGS)
}

/// The statements of roles in a log, by their text, without those that a test fills tables with. A statement that was planned
/// in several ways has the steps of all of them.
pub fn plans(log: &str) -> Vec<Plan> {
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, rest)) = line.split_once("LOG:  duration: ") else { continue };
        let Some(time) = rest.strip_suffix(" ms  plan:").and_then(|time| time.parse::<f64>().ok()) else {
            continue;
        };
        let mut entry = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            entry.push(line);
        }
        // The text of the statement goes on until the first step with its costs.
        let text = entry.iter().take_while(|line| !line.contains("(cost="));
        let text: Vec<&str> = text.flat_map(|line| line.split_whitespace()).collect();
        let statement = text.join(" ").trim_start_matches("Query Text: ").to_owned();
        if statement.contains("generate_series") {
            continue;
        }
        let plan = plans.entry(statement.clone()).or_insert_with(|| Plan {
            statement,
            steps: Vec::new(),
            times: Vec::new(),
        });
        plan.times.push(time);
        for (step, _) in entry.iter().filter_map(|line| line.split_once("  (cost=")) {
            let step = step.trim().trim_start_matches("->").trim().to_owned();
            if step.contains(" Scan") && !plan.steps.contains(&step) {
                plan.steps.push(step);
            }
        }
    }
    let mut plans: Vec<Plan> = plans.into_values().collect();
    for plan in &mut plans {
        plan.times.sort_by(f64::total_cmp);
    }
    plans
}

/// The plans as rows of a Markdown table: the beginning of the statement, how it reads rows, median and longest time.
pub fn table(plans: &[Plan]) -> String {
    let mut table = String::new();
    for Plan { statement, steps, times } in plans {
        let start: String = statement.chars().take(90).collect();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        let longest = times.last().copied().unwrap_or_default();
        let steps = if steps.is_empty() { "no table is read".to_owned() } else { steps.join("; ") };
        let _ = writeln!(table, "| `{}` | {steps} | {median:.2} | {longest:.2} |", start.replace('|', "\\|"));
    }
    table
}

/// The plans that read one of these tables as a whole.
pub fn scans<'a>(plans: &'a [Plan], tables: &[&str]) -> Vec<&'a Plan> {
    let of = |step: &String| {
        step.contains("Seq Scan on ") && tables.iter().any(|table| step.split(' ').any(|word| word == *table))
    };
    plans.iter().filter(|plan| plan.steps.iter().any(of)).collect()
}

/// The plans in a log as [`table`] shows them. Fails when there are none, or when one reads one of these tables as a whole.
pub fn assert_no_scans(log: &str, tables: &[&str]) -> String {
    let plans = plans(log);
    let table = table(&plans);
    assert!(plans.len() > 2, "{log}");
    assert_eq!(scans(&plans, tables), Vec::<&Plan>::new(), "{table}");
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-29 UTC [1] LOG:  duration: 0.030 ms  plan:
\tQuery Text: SELECT id
\t        FROM orders WHERE id = $1
\tIndex Scan using orders_pkey on orders  (cost=0.29..8.31 rows=1 width=9) (actual rows=1 loops=1)
\t  Index Cond: (id = 'one'::text)
2026-11-29 UTC [1] LOG:  statement: BEGIN
2026-11-29 UTC [1] LOG:  duration: 0.010 ms  plan:
\tQuery Text: SELECT id
\t        FROM orders WHERE id = $1
\tSeq Scan on orders  (cost=0.00..8.31 rows=1 width=9) (actual rows=1 loops=1)
2026-11-29 UTC [1] LOG:  duration: 9.010 ms  plan:
\tQuery Text: INSERT INTO orders SELECT FROM generate_series(1, 9)
\tFunction Scan on generate_series  (cost=0.00..8.31 rows=1 width=9)
";

    #[test]
    fn plans_are_read_from_what_the_server_logs() {
        let plans = plans(LOG);
        let expected = Plan {
            statement: "SELECT id FROM orders WHERE id = $1".to_owned(),
            steps: vec!["Index Scan using orders_pkey on orders".to_owned(), "Seq Scan on orders".to_owned()],
            times: vec![0.01, 0.03],
        };
        assert_eq!(plans, [expected]);
        assert_eq!(scans(&plans, &["orders"]).len(), 1);
        assert!(scans(&plans, &["users", "order"]).is_empty());
        assert!(table(&plans).starts_with("| `SELECT id FROM"), "{}", table(&plans));
    }
}
