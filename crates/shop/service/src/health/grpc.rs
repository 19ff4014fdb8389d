//! `grpc.health.v1` over the one state of [`Health`].

use super::Health;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

/// Answers for the services of one role; the empty name stands for all of them.
#[derive(Clone, Debug)]
struct Answers {
    health: Health,
    role: &'static str,
    services: &'static [&'static str],
}

impl Health {
    /// The routes of `grpc.health.v1` for the listener of a role that serves these gRPC services (full names). To
    /// be merged into the role's router outside its layers: a probe must not be shed, and is not worth a span.
    pub fn grpc(&self, role: &'static str, services: &'static [&'static str]) -> axum::Router {
        let server = HealthServer::new(Answers { health: self.clone(), role, services });
        axum::Router::new().route_service("/grpc.health.v1.Health/{*method}", server)
    }
}

impl Answers {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn status(is_ready: bool) -> ServingStatus {
    if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

#[tonic::async_trait]
impl health_server::Health for Answers {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("no such service here"));
        }
        Ok(Response::new(answer(status(self.health.is_role_ready(self.role)))))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    /// The protocol asks that an unknown service is answered in the stream, as it might appear later.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        if !self.knows(&request.get_ref().service) {
            let unknown = stream::once(async { Ok(answer(ServingStatus::ServiceUnknown)) });
            return Ok(Response::new(unknown.chain(stream::pending()).boxed()));
        }
        // Ends with the health of the process, so it holds it: the sender outlives every watcher.
        let mut changes = self.health.shared.readiness.subscribe();
        changes.mark_changed();
        let start = (self.clone(), changes, None);
        let answers = stream::unfold(start, |(answers, mut changes, told)| async move {
            loop {
                // The last word of a drain has been said. A stream that went on would hold the drain up.
                if told == Some(false) && changes.borrow().is_draining {
                    return None;
                }
                changes.changed().await.ok()?;
                changes.borrow_and_update();
                let now = Some(answers.health.is_role_ready(answers.role));
                if now != told {
                    let next = Ok(answer(status(now == Some(true))));
                    return Some((next, (answers, changes, now)));
                }
            }
        });
        Ok(Response::new(answers.boxed()))
    }
}
