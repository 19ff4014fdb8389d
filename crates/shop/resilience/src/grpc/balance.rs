//! Which replica a call goes to, and what happens when it cannot be sent there.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tonic::{Status, body::Body};
use tower::{ServiceBuilder, util::BoxCloneSyncService};
use tower_service::Service as _;
use waypost_telemetry::{
    grpc::{ClientLayer, UnixSocket},
    opentelemetry::KeyValue,
};

use super::{
    Address, faults,
    guard::GuardLayer,
    pool::{Pool, PooledBody},
    replica::Replica,
    replicas::Replicas,
    secured::{self, Dial},
};
use crate::{TARGET, deadline, retry};

type Stack = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;
type Answer = Result<Response<Body>, Status>;

/// The way to one replica: its connections and what stands before them.
#[derive(Debug, Clone)]
struct Line {
    replica: Arc<Replica>,
    pool: Pool,
    stack: Stack,
}

/// The lines of one channel. Made when the first call needs them, and when replicas come.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<Arc<[Line]>>);

impl Lines {
    fn to(&self, replicas: &Arc<[Arc<Replica>]>, all: &Replicas) -> Arc<[Line]> {
        // A list of lines is replaced whole, so a panic elsewhere does not spoil it.
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_to = |line: &Line, replica: &Arc<Replica>| Arc::ptr_eq(&line.replica, replica);
        let are_all = lines.len() == replicas.len()
            && lines.iter().zip(replicas.iter()).all(|(line, replica)| is_to(line, replica));
        if !are_all {
            let line = |replica: &Arc<Replica>| {
                let known = lines.iter().find(|line| is_to(line, replica));
                known.map_or_else(|| Line::new(replica, all), Line::clone)
            };
            *lines = replicas.iter().map(line).collect();
        }
        Arc::clone(&lines)
    }
}

impl Line {
    fn new(replica: &Arc<Replica>, all: &Replicas) -> Self {
        let options = &all.options;
        let endpoint = secured::endpoint(&replica.address, options.tls.as_ref())
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(options.keep_alive_interval)
            .keep_alive_timeout(options.keep_alive_timeout);
        let dial = Dial::new(endpoint, &replica.address, options.tls.clone());
        let pool = Pool::new(dial, options.max_connections, options.calls_per_connection);
        let guard = GuardLayer {
            breaker: replica.breaker.clone(),
            counts_timeouts_from: options.counts_timeouts_from,
        };
        // Every layer of it is always ready.
        let stack = ServiceBuilder::new()
            // One type of body for the typed clients, whatever the layers below make of it.
            .map_response(|response: Response<_>| response.map(Body::new))
            // Outermost, so that a replica that keeps failing costs neither time nor a span.
            .layer(guard)
            // One CLIENT span for each call that is made. Around the deadline, so that a call that ran out of time
            // shows as DEADLINE_EXCEEDED and not as cancelled.
            .layer(named(ClientLayer::new(&all.telemetry), &replica.server))
            // Around the connections, so that waiting for one counts too.
            .layer(deadline::ClientLayer { max: options.max, margin: options.margin })
            // A broken connection is UNAVAILABLE, as in other gRPC implementations; tonic says UNKNOWN.
            .map_response(|response: Response<PooledBody>| response.map(faults::name_body_faults))
            .map_err(faults::of_connection)
            // tonic's channels, which say in their answers whom they are connected to.
            .service(pool.clone());
        Self { replica: Arc::clone(replica), pool, stack: BoxCloneSyncService::new(stack) }
    }

    fn send(&self, request: Request<Body>) -> impl Future<Output = Answer> + Send + use<> {
        self.stack.clone().call(request)
    }
}

/// Makes a call at a replica. The only one gets it as it is; where there are several the message is kept until one has
/// taken it, so calls are unary.
pub(super) fn call(
    replicas: &Arc<Replicas>,
    lines: &Arc<Lines>,
    request: Request<Body>,
) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    let known = replicas.current();
    if let [_] = *known {
        return match &*lines.to(&known, replicas) {
            [line] => line.stack.clone().call(request),
            _ => Box::pin(std::future::ready(Err(nobody(replicas)))),
        };
    }
    let (replicas, lines) = (Arc::clone(replicas), Arc::clone(lines));
    Box::pin(async move {
        let known = if known.is_empty() {
            let left = deadline::remaining().unwrap_or(replicas.options.max);
            replicas.first(left.min(replicas.options.connect_timeout)).await
        } else {
            known
        };
        let lines = lines.to(&known, &replicas);
        fail_over(&replicas, &lines, request).await
    })
}

async fn fail_over(replicas: &Replicas, lines: &[Line], request: Request<Body>) -> Answer {
    let (head, message) = request.into_parts();
    let message = message.collect().await?.to_bytes();
    let mut left: Vec<&Line> = lines.iter().collect();
    let mut failed = None;
    while let Some(line) = draw(&mut left) {
        if failed.is_some() {
            replicas.failovers.add(1, &[KeyValue::new(TARGET, replicas.target.to_string())]);
        }
        let status = match line.send(Request::from_parts(head.clone(), whole(message.clone()))).await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let not_sent = retry::not_sent(&status);
        // Not what the service answered, but what became of the connection. A breaker that is shut says nothing new.
        let is_lost = status.code() == tonic::Code::Unavailable && !retry::was_refused(&status);
        if let Some(kept) = line.replica.kept.as_ref().filter(|_| is_lost) {
            kept.doubt();
        }
        if not_sent.is_none() {
            return Err(status);
        }
        failed = Some(status);
    }
    Err(failed.unwrap_or_else(|| nobody(replicas)))
}

/// Takes the line out of those that are left that a call should go over: the less busy of two, drawn among the best.
fn draw<'a>(left: &mut Vec<&'a Line>) -> Option<&'a Line> {
    let usable: Vec<(bool, bool)> = left.iter().map(|line| line.replica.usable()).collect();
    let among = |is_good: &dyn Fn(&(bool, bool)) -> bool| -> Option<Vec<usize>> {
        let places: Vec<usize> = (0..usable.len()).filter(|place| is_good(&usable[*place])).collect();
        (!places.is_empty()).then_some(places)
    };
    // When all are said to be away, that may be wrong: one whose breaker is open is called all the same.
    let places = among(&|(_, is_well)| *is_well)
        .or_else(|| among(&|(admits, _)| *admits))
        .or_else(|| among(&|_| true))?;
    let first = fastrand::usize(..places.len());
    let second = (first + fastrand::usize(1..places.len().max(2))) % places.len();
    let calls = |place: usize| left[places[place]].pool.calls();
    let drawn = if calls(second) < calls(first) { second } else { first };
    Some(left.swap_remove(places[drawn]))
}

/// The layer with the server's name on its spans.
fn named(layer: ClientLayer, server: &Address) -> ClientLayer {
    match server {
        Address::Http(uri) => layer.target(uri),
        Address::Unix(path) => layer.target_socket(&UnixSocket::new(path)),
    }
}

fn whole(message: Bytes) -> Body {
    Body::new(Full::new(message).map_err(|never| match never {}))
}

fn nobody(replicas: &Replicas) -> Status {
    let nobody = NoReplica { target: Arc::clone(&replicas.target) };
    let mut status = Status::unavailable(nobody.to_string());
    // By which it is known that nothing was sent.
    status.set_source(Arc::new(nobody));
    status
}

/// The discovery of a target has found no replica so far.
#[derive(Debug, thiserror::Error)]
#[error("no replica of {target} is known")]
pub(crate) struct NoReplica {
    target: Arc<str>,
}
