//! What the attributes of a span say that findings are made of.
//!
//! Names are those of the OpenTelemetry conventions, those that they replaced, and our own (`docs/telemetry`). A span of
//! which nothing is known is as good as any other: it is then told by its name.

use waypost_trace_model::{Span, StatusCode, Text, Value};

use crate::statement::{without_ids, without_values};

/// What is known about a span beside its place in the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it asks of whom, without values and ids: two calls with the same text are alike. `None`: told by its name.
    pub call: Option<String>,
    /// Who is asked, as far as the span says: a host, a database, a queue.
    pub peer: Option<Text>,
    /// Whether the call only reads.
    pub only_reads: bool,
    /// Nanoseconds that it waited for a connection, a lock or its turn.
    pub waited: u64,
    /// What a cache answered: its name and whether it had the answer.
    pub lookup: Option<(Text, bool)>,
    /// The instance of its service, or the host, that it comes from.
    pub instance: Option<Text>,
    /// Whether it says that something went wrong, by its status or otherwise: a status code of HTTP or gRPC, an error's type.
    pub shows_failure: bool,
}

/// Waits in seconds: ours, and that of the conventions' pool of connections.
const WAITS: [&str; 2] = ["waypost.db.wait_duration", "db.client.connection.wait_time"];

/// Names of spans that are nothing but the wait for a connection, as instrumentation of pools gives them.
const WAITING_SPANS: [&str; 3] = ["pg-pool.connect", "HikariDataSource.getConnection", "pool.acquire"];

/// How methods that only read begin.
const READING: [&str; 10] =
    ["get", "list", "find", "read", "search", "lookup", "check", "query", "fetch", "count"];

impl Facts {
    /// Of a span.
    pub fn of(span: &Span) -> Facts {
        let text = |keys: &[&str]| keys.iter().find_map(|key| attribute(span, key)).and_then(Value::as_text);
        let peer = text(&["server.address", "net.peer.name", "peer.service", "db.namespace", "db.name"]);
        let (call, only_reads) = call(span, &text);
        Facts {
            call,
            peer: peer.map(Text::from),
            only_reads,
            waited: waited(span),
            lookup: lookup(span),
            instance: instance(span),
            shows_failure: shows_failure(span),
        }
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|attribute| &*attribute.key == key).map(|attribute| &attribute.value)
}

/// What tells instances of a service apart, the first that is there.
const INSTANCES: [&str; 3] = ["service.instance.id", "k8s.pod.name", "host.name"];

fn instance(span: &Span) -> Option<Text> {
    let of_resource = |key: &&str| span.resource.attributes.iter().find(|attribute| &*attribute.key == *key);
    let value = &INSTANCES.iter().find_map(of_resource)?.value;
    Some(value.as_text().map_or_else(|| Text::from(value.display().into_owned()), Text::from))
}

fn call<'a>(span: &Span, text: &dyn Fn(&[&str]) -> Option<&'a str>) -> (Option<String>, bool) {
    if let Some(system) = text(&["db.system.name", "db.system"]) {
        let statement = text(&["db.query.text", "db.statement", "db.query.summary"]);
        let statement = statement.map_or_else(|| span.name.to_string(), without_values);
        let within = text(&["db.namespace", "db.name", "server.address"]).unwrap_or_default();
        let only_reads = reads_only(&statement);
        return (Some(join(&[system, within, &statement])), only_reads);
    }
    if let Some(method) = text(&["rpc.method", "rpc.service"]) {
        let name = method.rsplit(['/', '.']).next().unwrap_or(method).to_ascii_lowercase();
        return (Some(join(&["rpc", &span.name])), begins_as_reading(&name));
    }
    if let Some(method) = text(&["http.request.method", "http.method"]) {
        let path = text(&["url.template", "http.route"]).map(str::to_owned).or_else(|| {
            let address = text(&["url.full", "http.url", "url.path", "http.target"])?;
            let path = address
                .split_once("://")
                .map_or(address, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
            Some(without_ids(path))
        });
        let host = text(&["server.address", "net.peer.name"]).unwrap_or_default();
        let path = path.unwrap_or_else(|| span.name.to_string());
        return (Some(join(&[method, host, &path])), matches!(method, "GET" | "HEAD"));
    }
    (None, false)
}

fn join(parts: &[&str]) -> String {
    let mut joined = String::new();
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(part);
    }
    joined
}

/// Whether each of the statements, which are separated by `;`, begins with a word that reads.
fn reads_only(statement: &str) -> bool {
    let words = statement.split(';').filter_map(|one| one.split_whitespace().next());
    let mut words = words.peekable();
    words.peek().is_some()
        && words.all(|word| {
            let word = word.to_ascii_lowercase();
            matches!(word.as_str(), "select" | "show" | "with" | "mget" | "hget" | "hgetall" | "exists")
                || begins_as_reading(&word)
        })
}

fn begins_as_reading(name: &str) -> bool {
    READING.iter().any(|word| name.starts_with(word))
}

fn waited(span: &Span) -> u64 {
    if WAITING_SPANS.iter().any(|name| *span.name == **name) {
        return span.duration();
    }
    let waits = WAITS.iter().filter_map(|key| attribute(span, key)?.as_number());
    let seconds = waits.fold(0.0, f64::max);
    std::time::Duration::try_from_secs_f64(seconds)
        .map_or(0, |wait| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
        .min(span.duration())
}

fn lookup(span: &Span) -> Option<(Text, bool)> {
    let Value::Bool(is_hit) = attribute(span, "cache.hit")? else { return None };
    let name = attribute(span, "cache.name").and_then(Value::as_text);
    Some((name.map_or_else(|| span.name.clone(), Text::from), *is_hit))
}

fn shows_failure(span: &Span) -> bool {
    let is_failure = |key: &str| match (key, attribute(span, key)) {
        (_, None) => false,
        ("http.response.status_code" | "http.status_code", Some(code)) => {
            code.as_number().is_some_and(|code| code >= 400.0)
        }
        ("rpc.response.status_code" | "rpc.grpc.status_code", Some(code)) => {
            !matches!(&*code.display(), "OK" | "0")
        }
        (_, Some(_)) => true,
    };
    span.status.code == StatusCode::Error
        || [
            "http.response.status_code",
            "http.status_code",
            "rpc.response.status_code",
            "rpc.grpc.status_code",
            "error.type",
            "waypost.error_code",
        ]
        .into_iter()
        .any(is_failure)
}
