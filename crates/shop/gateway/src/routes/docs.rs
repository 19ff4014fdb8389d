//! The description of the API, and a page to try it that needs nothing from outside.

use crate::{edge::Edge, problem::Answer, query::NoParameters};
use axum::{
    body::Bytes,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::IntoResponse,
};
use serde::Deserialize;
use utoipa::ToSchema;
use waypost_api::ErrorCode;

/// Only files of our own, and requests to our own origin.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// This document.
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "system", operation_id = "get_openapi",
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object)),
)]
pub(crate) async fn document(State(edge): State<Edge>, _: NoParameters) -> Answer {
    Ok(typed("application/json", edge.document.clone()))
}

/// A page to try the API.
#[utoipa::path(
    get, path = "/api/docs", tag = "system", operation_id = "get_docs",
    responses((status = 200, description = "The page.", content_type = "text/html", body = String)),
)]
pub(crate) async fn page(_: NoParameters) -> Answer {
    let policy = [(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY))];
    let html = typed("text/html; charset=utf-8", Bytes::from_static(include_bytes!("../docs/page.html")));
    Ok((policy, html).into_response())
}

/// What the page is made of.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(crate) enum PageFile {
    #[serde(rename = "page.js")]
    Script,
    #[serde(rename = "page.css")]
    Style,
}

/// A file of the page.
#[utoipa::path(
    get, path = "/api/docs/{file}", tag = "system", operation_id = "get_docs_file",
    params(("file" = inline(PageFile), Path, description = "The file.")),
    responses((status = 200, description = "The file.", content(
        (String = "text/javascript"),
        (String = "text/css"),
    ))),
)]
pub(crate) async fn file(_: NoParameters, file: Result<Path<PageFile>, PathRejection>) -> Answer {
    match file {
        Ok(Path(PageFile::Script)) => {
            Ok(typed("text/javascript; charset=utf-8", Bytes::from_static(include_bytes!("../docs/page.js"))))
        }
        Ok(Path(PageFile::Style)) => {
            Ok(typed("text/css; charset=utf-8", Bytes::from_static(include_bytes!("../docs/page.css"))))
        }
        Err(_) => Err(ErrorCode::NotFound.into()),
    }
}

/// What each error code means.
#[utoipa::path(
    get, path = "/docs/errors", tag = "system", operation_id = "get_error_docs",
    responses((status = 200, description = "Markdown, a section a code.", content_type = "text/markdown", body = String)),
)]
pub(crate) async fn errors(_: NoParameters) -> Answer {
    let text = Bytes::from_static(include_bytes!("../../../../../docs/errors.md"));
    Ok(typed("text/markdown; charset=utf-8", text))
}

fn typed(content_type: &'static str, body: Bytes) -> axum::response::Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}
