//! What every store promises of log records, asked of each.

use crate::{contract::each_store, sample::*};
use std::sync::Arc;
use waypost_trace_model::{Batch, LogRecord, Value};
use waypost_trace_store::{Cursor, FoundLogs, LogQuery, ReadError, Settings, TraceStore};

fn saying(text: &str, mut log: LogRecord) -> LogRecord {
    log.body = Value::Text(text.into());
    log
}

fn keep_logs(store: &dyn TraceStore, logs: Vec<LogRecord>) {
    append(store, Arc::new(Batch { logs, ..Batch::default() })).unwrap();
}

fn bodies(found: &FoundLogs) -> Vec<String> {
    found.logs.iter().map(|log| log.body.to_string()).collect()
}

/// Every record, page by page.
fn all(store: &dyn TraceStore, query: &LogQuery) -> Vec<LogRecord> {
    let mut all = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let FoundLogs { logs, next, .. } =
            store.logs(&LogQuery { after: after.clone(), ..query.clone() }).unwrap();
        assert!(logs.len() <= query.limit);
        all.extend(logs);
        match next {
            Some(next) => {
                assert_ne!(Some(&next), after.as_ref(), "a page must go on");
                after = Some(next);
            }
            None => return all,
        }
    }
}

#[test]
fn log_records_are_found_by_time_with_and_without_a_trace() {
    each_store(&Settings::default(), |store, settle| {
        let lonely = LogRecord { trace_id: None, span_id: None, ..log("b", 1, 1, 20) };
        keep_logs(store, vec![saying("one", log("a", 1, 10, 10)), saying("two", lonely)]);
        settle();
        let unsaid = LogRecord { time: 0, observed: 30, ..log("a", 2, 11, 0) };
        keep_logs(store, vec![saying("three", unsaid)]);
        let newest = store.logs(&LogQuery::default()).unwrap();
        assert_eq!(
            (bodies(&newest), &newest.next),
            (vec!["three".into(), "two".into(), "one".into()], &None)
        );
        let oldest = LogQuery { newest_first: false, ..LogQuery::default() };
        assert_eq!(bodies(&store.logs(&oldest).unwrap()), ["one", "two", "three"]);
        let range = LogQuery { range: 11..=30, ..LogQuery::default() };
        assert_eq!(bodies(&store.logs(&range).unwrap()), ["three", "two"]);
    });
}

#[test]
fn log_records_are_found_by_service_trace_severity_and_text() {
    each_store(&Settings::default(), |store, settle| {
        let grave = LogRecord { severity: 17, severity_text: "ERROR".into(), ..log("b", 2, 2, 2) };
        let event = LogRecord { event_name: "cart.Emptied".into(), ..log("c", 3, 3, 3) };
        let map = [text("order", "N-17")].to_vec();
        let structured = LogRecord { body: Value::Map(map.into()), ..log("d", 4, 4, 4) };
        keep_logs(
            store,
            vec![
                saying("Payment EXPLODED", log("a", 1, 1, 1)),
                saying("grave", grave),
                saying("event", event),
                structured,
            ],
        );
        settle();
        let times =
            |query: LogQuery| store.logs(&query).unwrap().logs.iter().map(|log| log.time).collect::<Vec<_>>();
        assert_eq!(times(LogQuery { service: Some("b".into()), ..LogQuery::default() }), [2]);
        assert_eq!(times(LogQuery { service: Some("nobody".into()), ..LogQuery::default() }), [0; 0]);
        assert_eq!(times(LogQuery { trace: Some(trace_id(3)), ..LogQuery::default() }), [3]);
        assert_eq!(times(LogQuery { severity: 13, ..LogQuery::default() }), [2]);
        let has = |part: &str| times(LogQuery { text: Some(part.into()), ..LogQuery::default() });
        assert_eq!(has("payment exploded"), [1]);
        assert_eq!(has("CART."), [3]);
        assert_eq!(has("error"), [2]);
        assert_eq!(has("n-17"), [4]);
        assert_eq!(has("v"), [4, 3, 2, 1], "values of attributes");
        assert_eq!(has("nowhere"), [0; 0]);
    });
}

#[test]
fn pages_of_log_records_repeat_and_skip_none_and_what_was_sent_twice_is_one() {
    each_store(&Settings::default(), |store, settle| {
        // Many of one time, in several batches, some of them settled.
        for part in 0..5_u64 {
            let logs =
                (0..60).map(|number| saying(&format!("{part} {number}"), log("a", part + 1, 1, number / 20)));
            keep_logs(store, logs.collect());
            if part < 3 {
                settle();
            }
        }
        keep_logs(store, vec![saying("0 0", log("a", 1, 1, 0)), saying("new", log("a", 9, 1, 9))]);
        for newest_first in [true, false] {
            for limit in [1, 7, 299, 1000] {
                let found = all(store, &LogQuery { newest_first, limit, ..LogQuery::default() });
                assert_eq!(found.len(), 301);
                assert!(found.is_sorted_by(|one, next| if newest_first {
                    one.when() >= next.when()
                } else {
                    one.when() <= next.when()
                }));
                let mut bodies: Vec<String> = found.iter().map(|log| log.body.to_string()).collect();
                bodies.sort_unstable();
                bodies.dedup();
                assert_eq!(bodies.len(), 301);
            }
        }
        let after = Some(Cursor("n123".into()));
        assert!(matches!(
            store.logs(&LogQuery { after, ..LogQuery::default() }),
            Err(ReadError::InvalidCursor)
        ));
    });
}
