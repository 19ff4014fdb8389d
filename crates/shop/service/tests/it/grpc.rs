//! The layers around a gRPC service.

use crate::support::{Server, in_time};
use std::time::Duration;
use tonic::{Code, Request, Response, Status, transport::Channel};
use waypost_api::user::v1::{
    AuthenticateRequest, GetUserRequest, User,
    user_service_client::UserServiceClient,
    user_service_server::{UserService, UserServiceServer},
};
use waypost_resilience::deadline;
use waypost_service::{GrpcLimits, Limits, grpc_app};
use waypost_settings::ByteSize;
use waypost_telemetry::testing::TestTelemetry;

/// Answers with the time that is left as the name; never, for `slow`.
struct Users;

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        if request.get_ref().user_id == "slow" {
            std::future::pending::<()>().await;
        }
        let left = deadline::remaining().map(|left| left.as_millis().to_string());
        Ok(Response::new(User { name: left.unwrap_or_default(), ..User::default() }))
    }

    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Result<Response<User>, Status> {
        Ok(Response::new(User::default()))
    }
}

async fn start(telemetry: &TestTelemetry, limits: &GrpcLimits) -> (Server, UserServiceClient<Channel>) {
    let routes = tonic::service::Routes::new(UserServiceServer::new(Users));
    let server = Server::start(grpc_app(telemetry, routes, limits), Limits::default());
    let target = format!("http://{}", server.address);
    let channel = tonic::transport::Endpoint::from_shared(target).unwrap().connect().await.unwrap();
    (server, UserServiceClient::new(channel))
}

#[tokio::test]
async fn a_call_has_a_server_span_and_the_callers_deadline() {
    let telemetry = TestTelemetry::new("user-service");
    let (_server, mut client) = start(&telemetry, &GrpcLimits::default()).await;
    let mut request = Request::new(GetUserRequest { user_id: "user123".to_owned() });
    request.set_timeout(Duration::from_secs(3));
    let user = client.get_user(request).await.unwrap().into_inner();
    let left: u64 = user.name.parse().unwrap();
    assert!((1..=3000).contains(&left), "{left}");
    telemetry.tree().assert_matches("waypost.user.v1.UserService/GetUser SERVER user-service");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_with_its_limit() {
    let telemetry = TestTelemetry::new("user-service");
    let limits = GrpcLimits { request_size: ByteSize::kib(1), ..GrpcLimits::default() };
    let (_server, mut client) = start(&telemetry, &limits).await;
    let status = client.get_user(GetUserRequest { user_id: "u".repeat(4096) }).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::ResourceExhausted, "the request is larger than 1024 bytes")
    );
}

#[tokio::test]
async fn calls_above_the_limit_are_shed() {
    let telemetry = TestTelemetry::new("user-service");
    let (_server, mut client) = start(&telemetry, &GrpcLimits { calls: 1, ..GrpcLimits::default() }).await;
    let mut slow_client = client.clone();
    let slow = async move { slow_client.get_user(GetUserRequest { user_id: "slow".to_owned() }).await };
    let slow = waypost_telemetry::spawn(slow);
    let shed = in_time(async {
        loop {
            if let Err(status) = client.get_user(GetUserRequest { user_id: "user123".to_owned() }).await {
                return status;
            }
        }
    })
    .await;
    assert_eq!(shed.code(), Code::ResourceExhausted);
    slow.abort();
}
