//! The page: every file of `page/`, embedded in the binary, as it stands and packed.
//!
//! `index.html` answers `/` and every other path that a browser navigates to, as the page itself knows its routes; the
//! rest is below `/assets/`. Files are revalidated on each use, so that a new binary shows its new page at once. The
//! answer names all modules that the view needs, so that a browser asks for them at once and not one import after the
//! other.

use crate::{access::wants_html, problem::Problem};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt::Write as _};

/// An embedded file.
#[derive(Clone, Copy, Debug)]
struct File {
    /// From the folder `page/`.
    path: &'static str,
    bytes: &'static [u8],
    /// Packed by brotli, when that is smaller.
    br: Option<&'static [u8]>,
    /// Packed by gzip, when that is smaller.
    gzip: Option<&'static [u8]>,
    content_type: &'static str,
    /// Without quotes.
    etag: &'static str,
    /// The modules that this one imports when it is loaded.
    imports: &'static [&'static str],
}

/// Every file, by path. Written by `build.rs`.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// First parts of the page's own addresses, which answer with it whatever is asked for (a link to a trace that somebody
/// opens with `curl` is not wrong), and the modules of each. The first one is that of `/` as well.
const VIEWS: [(&str, &[&str]); 9] = [
    ("/search", &["search/search.js"]),
    ("/trace", &["trace/trace.js"]),
    ("/compare", &["compare/compare.js"]),
    ("/operation", &["operation/operation.js"]),
    ("/services", &["services/services.js", "services/operations.js"]),
    ("/map", &["map/map.js"]),
    ("/logs", &["logs/logs.js"]),
    ("/alerts", &["alerts/alerts.js"]),
    ("/status", &["status/status.js"]),
];

/// The page as it is served below a path.
#[derive(Debug)]
pub(crate) struct Page {
    /// `index.html` for each view, in the order of [`VIEWS`].
    indexes: Vec<Index>,
}

/// `index.html`, whose files are named below the path.
#[derive(Debug)]
struct Index {
    text: &'static str,
    /// A weak one: it may be packed on the way.
    etag: HeaderValue,
}

impl Page {
    /// Below this path of its host; empty: at the root. Lives as long as the process.
    pub(crate) fn below(base_path: &str) -> Page {
        Page { indexes: VIEWS.iter().map(|(_, modules)| Index::of(base_path, modules)).collect() }
    }

    /// Answers what no route answers.
    pub(crate) fn serve(&'static self, request: &Request) -> Response {
        serve(self, request)
    }
}

impl Index {
    fn of(base_path: &str, views: &[&str]) -> Index {
        let index = find("index.html").map_or("", |file| std::str::from_utf8(file.bytes).unwrap_or_default());
        let mut modules = BTreeSet::new();
        gather("app.js", &mut modules);
        for view in views {
            gather(view, &mut modules);
        }
        let mut links = String::new();
        for module in modules {
            let _ = writeln!(links, "    <link rel=\"modulepreload\" href=\"/assets/{module}\" />");
        }
        let mut text = index.replace("  </head>", &format!("{links}  </head>"));
        if !base_path.is_empty() {
            text = text.replace("=\"/assets/", &format!("=\"{base_path}/assets/"));
            text = text.replace("<html ", &format!("<html data-base=\"{base_path}\" "));
        }
        let digest = Sha256::digest(&text);
        let etag = digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let etag =
            HeaderValue::try_from(format!("W/\"{etag}\"")).unwrap_or(HeaderValue::from_static("W/\"\""));
        Index { text: text.leak(), etag }
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let validators = [
            (header::ETAG, self.etag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        if self.etag.to_str().is_ok_and(|etag| has_current(headers, etag.trim_start_matches("W/"))) {
            return (StatusCode::NOT_MODIFIED, validators).into_response();
        }
        (validators, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.text).into_response()
    }
}

/// A module and everything that is loaded with it.
fn gather(path: &str, modules: &mut BTreeSet<&'static str>) {
    let Some(file) = find(path) else { return };
    if modules.insert(file.path) {
        file.imports.iter().for_each(|import| gather(import, modules));
    }
}

fn serve(page: &'static Page, request: &Request) -> Response {
    let path = request.uri().path();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if let Some(path) = path.strip_prefix("/assets/") {
        return match find(path) {
            Some(_) if !is_read => Problem::method_not_allowed().into_response(),
            Some(file) => answer(file, request.headers()),
            None => Problem::not_found("the page has no such file").into_response(),
        };
    }
    let is_api = ["/api", "/zipkin"]
        .iter()
        .any(|api| path.strip_prefix(api).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let view = VIEWS.iter().position(|(view, _)| {
        path.strip_prefix(view).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let is_navigation =
        is_read && !is_api && (path == "/" || view.is_some() || wants_html(request.headers()));
    match (path, page.indexes.get(view.unwrap_or_default())) {
        (_, Some(index)) if is_navigation => index.answer(request.headers()),
        ("/", _) => Problem::method_not_allowed().into_response(),
        _ => Problem::not_found("there is no such path").into_response(),
    }
}

fn find(path: &str) -> Option<&'static File> {
    FILES.binary_search_by_key(&path, |file| file.path).ok().and_then(|place| FILES.get(place))
}

fn answer(file: &'static File, headers: &HeaderMap) -> Response {
    let (bytes, encoding) = match (file.br, file.gzip) {
        (Some(packed), _) if accepts(headers, "br") => (packed, Some("br")),
        (_, Some(packed)) if accepts(headers, "gzip") => (packed, Some("gzip")),
        _ => (file.bytes, None),
    };
    // Each form of a file is a representation of its own.
    let etag = format!(
        "\"{}{}{}\"",
        file.etag,
        if encoding.is_some() { "-" } else { "" },
        encoding.unwrap_or_default()
    );
    let mut response = if has_current(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = ([(header::CONTENT_TYPE, file.content_type)], bytes).into_response();
        if let Some(encoding) = encoding {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    };
    let answered = response.headers_mut();
    if let Ok(etag) = HeaderValue::try_from(etag) {
        answered.insert(header::ETAG, etag);
    }
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answered.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Whether this form may be sent (RFC 9110, section 12.5.3). Without the header only the file as it stands.
fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut of_any = false;
    for choice in values.flat_map(|value| value.split(',')) {
        let (name, weight) =
            choice.split_once(';').map_or((choice, ""), |(name, weight)| (name, weight.trim()));
        let quality = weight.split_once('=').map_or(Ok(1.0), |(_, quality)| quality.trim().parse::<f32>());
        let is_wanted = quality.is_ok_and(|quality| quality > 0.0);
        match name.trim() {
            name if name.eq_ignore_ascii_case(coding) => return is_wanted,
            "*" => of_any = is_wanted,
            _ => {}
        }
    }
    of_any
}

/// `If-None-Match` (RFC 9110, section 13.1.2), compared weakly.
fn has_current(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
