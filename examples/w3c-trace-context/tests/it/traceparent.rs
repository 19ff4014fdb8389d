//! `traceparent`: when a trace goes on, when a new one begins, and what becomes of its flags.

use std::collections::BTreeSet;

use crate::harness::{Harness, PARENT_ID, TRACE_ID};

fn good() -> String {
    format!("00-{TRACE_ID}-{PARENT_ID}-01")
}

#[tokio::test]
async fn without_a_parent_a_trace_begins() {
    let mut harness = Harness::start().await;
    let first = harness.call(&[]).await;
    let second = harness.call(&[]).await;
    assert_ne!(first.trace_id, second.trace_id);
    assert_eq!((first.flags & 1, first.tracestate), (1, None));
}

#[tokio::test]
async fn a_good_parent_is_continued_in_any_case_of_its_name() {
    let mut harness = Harness::start().await;
    for name in ["traceparent", "TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        assert!(harness.call(&[(name, &good())]).await.continues(), "{name}");
    }
    for name in ["trace-parent", "trace.parent", "x-traceparent"] {
        assert!(!harness.call(&[(name, &good())]).await.continues(), "{name}");
    }
}

#[tokio::test]
async fn whitespace_around_a_parent_is_not_part_of_it() {
    let mut harness = Harness::start().await;
    for around in [[" ", ""], ["\t", ""], ["", " "], ["", "\t"], ["\t ", " \t"]] {
        let header = format!("{}{}{}", around[0], good(), around[1]);
        assert!(harness.call(&[("traceparent", &header)]).await.continues(), "{header:?}");
    }
}

#[tokio::test]
async fn two_parents_are_none() {
    let mut harness = Harness::start().await;
    let other = good().replace("4bf9", "4bfa");
    for second in [&good(), &other, "\u{fc}"] {
        let headers =
            [("traceparent", good()), ("traceparent", second.to_owned()), ("tracestate", "a=1".to_owned())];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arrived = harness.call(&headers).await;
        assert!(!arrived.continues() && !other.contains(&arrived.trace_id), "{second:?}");
        assert_eq!(arrived.tracestate, None, "a state without its parent is dropped");
    }
}

#[tokio::test]
async fn a_malformed_parent_begins_a_trace() {
    let mut harness = Harness::start().await;
    let zero = "0".repeat(32);
    let malformed = [
        String::new(),
        good() + ".",
        good() + "-what-the-future-will-be-like",
        good().replacen("00", "ff", 1),
        good().replacen("00", ".0", 1),
        good().replacen("00", "0.", 1),
        good().replacen("00", "000", 1),
        good().replacen("00", "0", 1),
        good().replace(TRACE_ID, &zero),
        good().replace(TRACE_ID, &TRACE_ID.to_uppercase()),
        good().replace(TRACE_ID, &TRACE_ID.replacen('4', ".", 1)),
        good().replace(TRACE_ID, &format!("{TRACE_ID}0")),
        good().replace(TRACE_ID, &TRACE_ID[1..]),
        good().replace(PARENT_ID, &zero[..16]),
        good().replace(PARENT_ID, &PARENT_ID.replacen('0', ".", 1)),
        good().replace(PARENT_ID, &format!("{PARENT_ID}0")),
        good().replace(PARENT_ID, &PARENT_ID[1..]),
        good().replace("-01", "-.0"),
        good().replace("-01", "-0."),
        good().replace("-01", "-001"),
        good().replace("-01", "-1"),
        good().replace('-', "_"),
    ];
    for header in &malformed {
        let headers = [("traceparent", header.as_str()), ("tracestate", "a=1")];
        let arrived = harness.call(&headers).await;
        assert!(!arrived.continues(), "{header:?}");
        assert_ne!(arrived.trace_id, zero);
        assert_eq!(arrived.tracestate, None, "{header:?}");
    }
}

#[tokio::test]
async fn a_newer_version_is_read_as_far_as_it_is_known() {
    let mut harness = Harness::start().await;
    let newer = good().replacen("00", "cc", 1);
    for header in [newer.clone(), format!("{newer}-"), format!("{newer}-what-the-future-will-be-like")] {
        assert!(harness.call(&[("traceparent", &header)]).await.continues(), "{header}");
    }
    for header in [format!("{newer}.what"), newer[..54].to_owned()] {
        assert!(!harness.call(&[("traceparent", &header)]).await.continues(), "{header}");
    }
}

#[tokio::test]
async fn every_callback_has_a_parent_of_its_own_in_one_trace() {
    let mut harness = Harness::start().await;
    for headers in [vec![("traceparent", good())], vec![]] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let arrived = harness.calls(&headers, 3).await;
        let distinct =
            |id: fn(&crate::harness::Arrived) -> &str| arrived.iter().map(id).collect::<BTreeSet<_>>();
        assert_eq!(distinct(|arrived| &arrived.trace_id).len(), 1);
        assert_eq!(distinct(|arrived| &arrived.parent_id).len(), 3);
        assert_eq!(arrived[0].continues(), !headers.is_empty());
    }
}

/// Level 2: the random flag goes on as it came, the sampled flag is followed, all others are zero.
#[tokio::test]
async fn known_flags_go_on_and_unknown_ones_do_not() {
    let mut harness = Harness::start().await;
    for (came, goes) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("04", 0), ("fd", 1), ("ff", 3)] {
        let header = good().replace("-01", &format!("-{came}"));
        let arrived = harness.call(&[("traceparent", &header)]).await;
        assert!(arrived.continues());
        assert_eq!(arrived.flags, goes, "{came}");
    }
}
