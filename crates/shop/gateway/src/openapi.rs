//! The OpenAPI document: what the handlers declare, completed with what holds for all of them.
//!
//! The problems that a route can answer come from its row in the access table; those that every route can answer
//! are listed here. So a handler declares its successes only.

use crate::{
    Error,
    access::{self, Row, TABLE},
    budget::SHORTEST,
    config::Auth,
};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema as _;
use utoipa::openapi::{
    Components, Content, Header, Info, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder, Tag,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
    schema::{ObjectBuilder, Type},
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};
use waypost_api::{
    ErrorCode,
    http_bodies::{PROBLEM_CONTENT_TYPE, Problem},
};

/// The name of the token in the document.
const TOKEN: &str = "token";

/// What any route can answer.
const ANYWHERE: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::UnknownField,
    ErrorCode::CrossSite,
    ErrorCode::UnknownHost,
    ErrorCode::RateLimited,
    ErrorCode::HeadersTooLarge,
    ErrorCode::Internal,
    ErrorCode::Overloaded,
];

/// What a route that asks a service can answer.
const FORWARDED: &[ErrorCode] = &[ErrorCode::Unavailable, ErrorCode::Cancelled, ErrorCode::DeadlineExceeded];

/// What a route that is not for everybody can answer.
const GUARDED: &[ErrorCode] = &[ErrorCode::Unauthenticated, ErrorCode::TokenExpired];

/// The document that a gateway with this setting serves.
pub fn document(auth: Auth) -> OpenApi {
    let mut document = crate::routes::all().1;
    complete(&mut document, auth);
    document
}

/// Everything but the routes.
pub(crate) fn base() -> OpenApi {
    let info = Info::builder()
        .title("Waypost")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "An order system in which every order can be followed. Every error is a problem document (RFC 9457) \
             with a `code` and the `trace_id` of the request; `/docs/errors` explains each code.",
        ))
        .build();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let token = token.description(Some(
        "From `POST /api/login`. Where the gateway runs with `auth = demo`, it may be left out.",
    ));
    let components = Components::builder()
        .security_scheme(TOKEN, SecurityScheme::Http(token.build()))
        .schemas_from_iter(problem_schemas())
        .build();
    OpenApiBuilder::new().info(info).components(Some(components)).tags(Some(tags())).build()
}

fn tags() -> Vec<Tag> {
    let tag =
        |name: &str, description: &str| TagBuilder::new().name(name).description(Some(description)).build();
    vec![
        tag("orders", "Place orders and follow them."),
        tag("users", "Log in, and look at oneself."),
        tag("products", "The catalogue."),
        tag("system", "About the gateway itself."),
    ]
}

fn problem_schemas() -> Vec<(String, RefOr<utoipa::openapi::Schema>)> {
    let mut schemas = vec![(Problem::name().into_owned(), <Problem as utoipa::PartialSchema>::schema())];
    Problem::schemas(&mut schemas);
    schemas
}

/// Adds to each operation its problems, its security and the headers of its answers.
fn complete(document: &mut OpenApi, auth: Auth) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            // Checked by `check_against_table`, which reports what has no row.
            if let Some(row) = access::find(method, path) {
                complete_operation(row, operation, auth);
            }
        }
    }
}

fn complete_operation(row: &Row, operation: &mut Operation, auth: Auth) {
    if !row.is_public() {
        let with_token = SecurityRequirement::new(TOKEN, Vec::<String>::new());
        operation.security = Some(match auth {
            Auth::Required => vec![with_token],
            Auth::Demo => vec![with_token, SecurityRequirement::default()],
        });
    }
    if is_forwarded(row) {
        operation.parameters.get_or_insert_default().push(RefOr::T(timeout_parameter()));
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let names: &[_] = if row.path == "/api/orders" && row.method == "POST" {
                &["traceresponse", "location", "idempotent-replayed"]
            } else {
                &["traceresponse"]
            };
            response.headers.extend(names.iter().map(|name| ((*name).to_owned(), RefOr::T(header(name)))));
        }
    }
    for (status, codes) in problems(row) {
        let list =
            codes.iter().map(|code| format!("`{code}`: {}.", code.title())).collect::<Vec<_>>().join("\n");
        let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name(Problem::name()))));
        let mut response = ResponseBuilder::new().description(list).content(PROBLEM_CONTENT_TYPE, content);
        let may_wait = codes.iter().any(|code| code.is_retryable());
        if may_wait {
            response = response.header("retry-after", header("retry-after"));
        }
        response = response.header("traceresponse", header("traceresponse"));
        operation.responses.responses.insert(status.to_string(), response.build().into());
    }
}

/// The codes that a route can answer, by status.
fn problems(row: &Row) -> BTreeMap<u16, BTreeSet<ErrorCode>> {
    let guarded: &[_] = if row.is_public() { &[] } else { GUARDED };
    let forbidden: &[_] = if row.other == access::Verdict::Forbid { &[ErrorCode::Forbidden] } else { &[] };
    let forwarded: &[_] = if is_forwarded(row) { FORWARDED } else { &[] };
    let codes = [ANYWHERE, guarded, forbidden, forwarded, row.errors].concat();
    let mut by_status: BTreeMap<u16, BTreeSet<ErrorCode>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.http_status().as_u16()).or_default().insert(code);
    }
    by_status
}

/// Routes about the gateway itself ask nobody.
fn is_forwarded(row: &Row) -> bool {
    let own = ["/api/health", "/api/openapi.json", "/api/docs", "/api/docs/{file}", "/docs/errors"];
    !own.contains(&row.path)
}

fn timeout_parameter() -> Parameter {
    let seconds =
        ObjectBuilder::new().schema_type(Type::Number).minimum(Some(SHORTEST.as_secs_f64())).build();
    ParameterBuilder::new()
        .name("Request-Timeout")
        .parameter_in(ParameterIn::Header)
        .required(utoipa::openapi::Required::False)
        .description(Some("Seconds that the client is willing to wait, within the gateway's bound; or `x-waypost-timeout-ms` in \
             milliseconds."))
        .schema(Some(seconds))
        .build()
}

fn header(name: &str) -> Header {
    let description = match name {
        "traceresponse" => "The trace and span of this request (W3C trace context).",
        "location" => "The order.",
        "idempotent-replayed" => "`true` when this is the answer to an earlier request with the same key.",
        _ => "Seconds to wait before the next try.",
    };
    Header::builder()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

/// Refuses to start with a route that the table does not know, or a row that no route serves.
pub(crate) fn check_against_table(document: &OpenApi) -> Result<(), Error> {
    let mut document = document.clone();
    let mut routes = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        routes.extend(operations(item).into_iter().map(|(method, _)| format!("{method} {path}")));
    }
    let rows: BTreeSet<String> = TABLE.iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    let differences: Vec<&str> = routes.symmetric_difference(&rows).map(String::as_str).collect();
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Error::RouteWithoutRow { routes: differences.join(", ") })
    }
}

fn operations(item: &mut PathItem) -> Vec<(&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, head, options, .. } = item;
    let all = [
        ("GET", get),
        ("PUT", put),
        ("POST", post),
        ("DELETE", delete),
        ("PATCH", patch),
        ("HEAD", head),
        ("OPTIONS", options),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?))).collect()
}
