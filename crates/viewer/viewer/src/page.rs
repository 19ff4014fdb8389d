//! The page: every file of `page/`, embedded in the binary.
//!
//! `index.html` answers `/` and every other path that a browser navigates to, as the page itself knows its routes; the
//! rest is below `/assets/`. Files are revalidated on each use, so that a new binary shows its new page at once.

use crate::{access::wants_html, problem::Problem};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};

/// An embedded file.
#[derive(Clone, Copy, Debug)]
struct File {
    /// From the folder `page/`.
    path: &'static str,
    bytes: &'static [u8],
    content_type: &'static str,
    /// With its quotes.
    etag: &'static str,
}

impl File {
    /// Stands in for a page that is not there, which the build does not let happen.
    const NONE: File = File { path: "index.html", bytes: b"", content_type: "text/html", etag: "\"\"" };
}

/// Every file, by path. Written by `build.rs`.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// First parts of the page's own addresses, which answer with it whatever is asked for: a link to a trace that somebody
/// opens with `curl` is not wrong.
const VIEWS: [&str; 7] = ["/search", "/trace", "/services", "/map", "/logs", "/alerts", "/status"];

/// The page as it is served below a path.
#[derive(Debug)]
pub(crate) struct Page {
    /// `index.html`, whose files are named below the path.
    index: File,
}

impl Page {
    /// Below this path of its host; empty: at the root. Lives as long as the process.
    pub(crate) fn below(base_path: &str) -> Page {
        let Some(index) = find("index.html").filter(|_| !base_path.is_empty()) else {
            return Page { index: find("index.html").copied().unwrap_or(File::NONE) };
        };
        let text = String::from_utf8_lossy(index.bytes);
        let text = text.replace("=\"/assets/", &format!("=\"{base_path}/assets/"));
        let text = text.replace("<html ", &format!("<html data-base=\"{base_path}\" "));
        let etag = format!("\"{}{}\"", index.etag.trim_matches('"'), base_path.replace('/', "-"));
        Page { index: File { bytes: text.into_bytes().leak(), etag: etag.leak(), ..*index } }
    }

    /// Answers what no route answers.
    pub(crate) fn serve(&'static self, request: &Request) -> Response {
        serve(&self.index, request)
    }
}

fn serve(index: &'static File, request: &Request) -> Response {
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
    let is_view = VIEWS
        .iter()
        .any(|view| path.strip_prefix(view).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    let is_navigation = is_read && !is_api && (path == "/" || is_view || wants_html(request.headers()));
    match path {
        _ if is_navigation => answer(index, request.headers()),
        "/" => Problem::method_not_allowed().into_response(),
        _ => Problem::not_found("there is no such path").into_response(),
    }
}

fn find(path: &str) -> Option<&'static File> {
    FILES.binary_search_by_key(&path, |file| file.path).ok().and_then(|place| FILES.get(place))
}

fn answer(file: &'static File, headers: &HeaderMap) -> Response {
    let validators = [
        (header::ETAG, HeaderValue::from_static(file.etag)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if has_current(headers, file.etag) {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(file.content_type))];
    (validators, content_type, file.bytes).into_response()
}

/// `If-None-Match` (RFC 9110, section 13.1.2), compared weakly.
fn has_current(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
