//! The gRPC interface: reads messages, writes messages, nothing else.

use tonic::{Request, Response, Status, service::Routes};
use waypost_api::attributes::USER_ID;
use waypost_api::convert::RequestFields;
use waypost_api::user::v1::{
    self, AuthenticateRequest, GetUserRequest,
    user_service_server::{UserService, UserServiceServer},
};
use waypost_api::{FieldCode, UserId, http_bodies::Password};
use waypost_service::{Callers, GrpcLimits, grpc_app_favouring};
use waypost_telemetry::{ErrorType as _, Telemetry, record_error, set};

use crate::Error;
use crate::domain::User;
use crate::logic::Users;

/// Who may call what, where callers are known by their certificates.
pub const CALLERS: Callers = &[("GetUser", &["gateway"]), ("Authenticate", &["gateway"])];

/// The router of the gRPC interface with the layers that every role has.
pub fn router(telemetry: &Telemetry, users: Users, limits: &GrpcLimits) -> axum::Router {
    let routes = Routes::new(UserServiceServer::new(Interface { users }));
    // All calls but the one that begins something, which may be slow.
    grpc_app_favouring(telemetry, routes, CALLERS, limits, |_, path| !path.ends_with("/Authenticate"))
}

struct Interface {
    users: Users,
}

#[tonic::async_trait]
impl UserService for Interface {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<v1::User>, Status> {
        let mut fields = RequestFields::default();
        let id = fields.text::<UserId>("user_id", &request.get_ref().user_id);
        let id = fields.finish(id)?;
        set(USER_ID, id.clone());
        let user = self.users.user(id).await.map_err(status)?;
        Ok(Response::new(message(&user)))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<v1::User>, Status> {
        let request = request.into_inner();
        let mut fields = RequestFields::default();
        let id = fields.text::<UserId>("user_id", &request.user_id);
        let password = if request.password.len() <= Password::MAX_LENGTH {
            fields.text::<String>("password", &request.password)
        } else {
            fields.fail(
                "password",
                FieldCode::TooLarge,
                format!("must have at most {} bytes", Password::MAX_LENGTH),
            )
        };
        let (id, password) = fields.finish(id.zip(password))?;
        set(USER_ID, id.clone());
        // The gateway's word; an attempt without one is counted with all others that have none.
        let address = request.client_address.parse().ok();
        let user = self.users.authenticate(id, password, address).await.map_err(status)?;
        Ok(Response::new(message(&user)))
    }
}

fn message(user: &User) -> v1::User {
    v1::User {
        user_id: user.id.to_string(),
        name: user.name.clone(),
        email: user.email.clone(),
        is_admin: user.is_admin,
        is_active: user.is_active,
        payment_method: user.payment_method.clone(),
        tenant_id: user.tenant.to_string(),
    }
}

/// The answer to the caller. What failed on our side is recorded here, where it is handled.
fn status(error: Error) -> Status {
    if error.is_failure() {
        record_error(&error);
    }
    waypost_api::Error::from(error).into()
}
