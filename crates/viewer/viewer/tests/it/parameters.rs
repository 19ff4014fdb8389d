//! Every parameter that is wrong is refused by its name.

use crate::{
    http::{ReplyExt as _, Request},
    viewer::Viewer,
};

/// Path and query, the parameter that is named, and a part of the reason.
const WRONG: &[(&str, &str, &str)] = &[
    ("/search?lmit=5", "lmit", "unknown: `lmit`"),
    (
        "/search?lmit=5",
        "lmit",
        "known: column, service, operation, kind, status, min_duration, max_duration, root, attr, text, not, with",
    ),
    ("/search?service=a&service=b", "service", "more than once"),
    ("/search?service=%ff", "query", "UTF-8"),
    ("/search?kind=srver", "kind", "internal, server, client, producer, consumer, unspecified"),
    ("/search?status=failed", "status", "error, ok, unset"),
    ("/search?root=yes", "root", "true, false"),
    ("/search?min_duration=5", "min_duration", "unit"),
    ("/search?max_duration=-1s", "max_duration", "unit"),
    ("/search?min_duration=2s&max_duration=1s", "min_duration", "more than `max_duration`"),
    ("/search?min_trace_duration=x", "min_trace_duration", "unit"),
    ("/search?from=yesterday", "from", "RFC 3339"),
    ("/search?from=now&to=1h", "from", "later than `to`"),
    ("/search?attr=%3D5", "attr", "no key"),
    ("/search?attr=a%3Elots", "attr", "not a number"),
    ("/search?not=srvice%3Da", "not", "unknown: `srvice`"),
    ("/search?not=root%3D", "not", "no condition"),
    ("/search?not=kind%3Dclient%26not%3Dservice%253Da", "not", "unknown: `not`"),
    ("/search?column=event:name", "column", "span or its resource"),
    ("/facets", "by", "must be given"),
    ("/facets?by=service&limit=101", "limit", "from 1 to 100"),
    ("/search?attr=a%3E%3Dmuch", "attr", "not a number"),
    ("/search?attr=%22a", "attr", "does not end"),
    ("/search?with=srvice%3Da", "with", "unknown: `srvice`"),
    ("/search?with=from%3Dnow", "with", "unknown: `from`"),
    ("/search?order=best", "order", "newest, oldest, longest, shortest"),
    ("/search?limit=0", "limit", "from 1 to 200"),
    ("/search?limit=201", "limit", "from 1 to 200"),
    ("/search?limit=many", "limit", "from 1 to 200"),
    ("/search?after=nonsense", "after", "cursor"),
    ("/points?limit=2001", "limit", "from 1 to 2000"),
    ("/tail?from=now", "from", "unknown: `from`"),
    ("/tail?with=a%3Db", "with", "unknown: `with`"),
    ("/traces/xyz", "trace", "`z` is not a hex digit"),
    ("/traces/0", "trace", "zeros"),
    ("/traces/123456789012345678901234567890123", "trace", "32"),
    ("/traces/%ff", "path", "UTF-8"),
    ("/traces/1?raw=true", "raw", "takes no parameters"),
    ("/traces/1/spans/12345678901234567", "span", "16"),
    ("/traces/1/matches?limit=5", "limit", "not a parameter"),
    ("/services?from=now&to=5m", "from", "later than `to`"),
    ("/services/a/operations?service=b", "service", "not a parameter"),
    ("/map?to=soon", "to", "RFC 3339"),
    ("/names/keys?scope=log", "scope", "span, resource, event, link"),
    ("/names/values?scope=span", "key", "must be given"),
    ("/names/values?key=a&limit=501", "limit", "from 1 to 500"),
    ("/status?pretty=true", "pretty", "takes no parameters"),
];

#[tokio::test]
async fn what_is_wrong_is_named() {
    let viewer = Viewer::open();
    for (path, parameter, reason) in WRONG {
        let reply = viewer.get(&format!("/api/v1{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.problem_name()), (400, "bad-parameter"), "{path}");
        let problem = reply.json;
        assert_eq!(problem["parameter"], *parameter, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{path}: {problem}");
    }
}

#[tokio::test]
async fn too_many_conditions_are_refused() {
    let viewer = Viewer::open();
    let reply = viewer.get(&format!("/api/v1/search?{}", "attr=a&".repeat(17))).await;
    assert_eq!((reply.problem_name(), reply.json["parameter"].as_str()), ("bad-parameter", Some("attr")));
    let reply = viewer.get(&format!("/api/v1/search?{}", "with=service%3Da&".repeat(9))).await;
    assert_eq!((reply.problem_name(), reply.json["parameter"].as_str()), ("bad-parameter", Some("with")));
}

#[tokio::test]
async fn what_the_api_does_not_have_is_a_problem_too() {
    let viewer = Viewer::open();
    let reply = viewer.get("/api/v1/nothing").await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (404, "not-found"));
    let reply = viewer.send(Request::new("DELETE", "/api/v1/search")).await;
    assert_eq!((reply.status.as_u16(), reply.problem_name()), (405, "method"));
    assert_eq!(reply.header("allow"), "GET,HEAD");
}
