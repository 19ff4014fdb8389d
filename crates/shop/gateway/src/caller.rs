//! Who sends a request, and whether that caller may do what the request asks.

use crate::{
    access::{self, Role, Row, Verdict},
    config::Auth,
    edge::Edge,
    problem::Refusal,
    tokens::Principal,
};
use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{Extensions, HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use waypost_api::{ErrorCode, UserId, order};

/// What the token of a request says. In each request's extensions from [`identify`] on.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// There is none, or it does not matter.
    None,
    /// A good one.
    Known(Principal),
    /// One that is refused, with the reason.
    Refused(ErrorCode),
}

/// Reads the token, and refuses nothing yet: the rate limit comes first, but wants to know the principal.
pub(crate) async fn identify(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let is_public = row_of(request.method(), request.extensions()).is_none_or(Row::is_public);
    let identity = match bearer(request.headers()) {
        _ if is_public => Identity::None,
        Ok(None) => Identity::None,
        Ok(Some(token)) => match edge.tokens.verify(token) {
            Ok(principal) => Identity::Known(principal),
            Err(code) => Identity::Refused(code),
        },
        Err(code) => Identity::Refused(code),
    };
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Refuses bad tokens, and missing ones where the route needs one.
pub(crate) async fn authorise(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    // Without a row there is no handler: the answer will be 404 or 405.
    if let Some(row) = row_of(request.method(), request.extensions()) {
        let who = match request.extensions_mut().remove::<Identity>() {
            Some(Identity::Known(principal)) => Who::User(principal),
            Some(Identity::Refused(code)) => return Refusal::from(code).into_response(),
            Some(Identity::None) | None => match (row.anonymous, edge.auth) {
                (Verdict::LogIn, Auth::Required) => {
                    return Refusal::from(ErrorCode::Unauthenticated).into_response();
                }
                (Verdict::Forbid | Verdict::Hide, _) => {
                    return Refusal::from(ErrorCode::Forbidden).into_response();
                }
                (Verdict::LogIn, Auth::Demo) | (Verdict::Allow, _) => Who::Anonymous,
            },
        };
        request.extensions_mut().insert(Caller { who, row });
    }
    next.run(request).await
}

/// The row of the route that a request has matched.
fn row_of(method: &Method, extensions: &Extensions) -> Option<&'static Row> {
    let path = extensions.get::<MatchedPath>()?;
    access::find(method.as_str(), path.as_str())
}

/// `Authorization: Bearer <token>`. Any other scheme, or two headers, is refused rather than ignored.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ErrorCode> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    let credentials = value.to_str().ok().filter(|_| more.is_none());
    let (scheme, token) =
        credentials.and_then(|text| text.split_once(' ')).ok_or(ErrorCode::Unauthenticated)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(Some(token.trim()))
    } else {
        Err(ErrorCode::Unauthenticated)
    }
}

/// The caller of a request that was let through.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    who: Who,
    row: &'static Row,
}

#[derive(Clone, Debug)]
enum Who {
    /// Without a token, on a route for everybody or in demo.
    Anonymous,
    User(Principal),
}

impl Caller {
    /// Leave to act for a user whom the request names.
    pub(crate) fn act_for(&self, user_id: &UserId) -> Result<order::v1::Caller, Refusal> {
        let (role, is_admin) = match &self.who {
            // `authorise` let it pass, so this is demo: it is the user whom it names.
            Who::Anonymous => (Role::Owner, false),
            Who::User(principal) if principal.is_admin => (Role::Admin, true),
            Who::User(principal) if principal.user_id == *user_id => (Role::Owner, false),
            Who::User(_) => (Role::Other, false),
        };
        match self.row.verdict(role) {
            Verdict::Allow => Ok(order::v1::Caller { user_id: self.name(user_id), is_admin }),
            Verdict::Hide => Err(ErrorCode::NotFound.into()),
            Verdict::Forbid | Verdict::LogIn => Err(ErrorCode::Forbidden.into()),
        }
    }

    /// Leave to ask for a thing by its id. Whose it is only the owning service knows; it hides it from others.
    pub(crate) fn act_by_id(&self) -> order::v1::Caller {
        match &self.who {
            // Demo: nobody is named, so it may look at any order.
            Who::Anonymous => order::v1::Caller { user_id: "demo".to_owned(), is_admin: true },
            Who::User(Principal { user_id, is_admin }) => {
                order::v1::Caller { user_id: user_id.to_string(), is_admin: *is_admin }
            }
        }
    }

    fn name(&self, named: &UserId) -> String {
        match &self.who {
            Who::Anonymous => named.to_string(),
            Who::User(principal) => principal.user_id.to_string(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Refusal> {
        parts.extensions.get::<Caller>().cloned().ok_or_else(|| ErrorCode::Internal.into())
    }
}
