//! Requests as an outsider sends them. Every answer is held against the OpenAPI document.

use serde_json::Value;
use std::{net::SocketAddr, sync::LazyLock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
pub(crate) use waypost_test_client::{Answer as Reply, Request};

/// Sends a request as an outsider does.
pub(crate) async fn send(request: Request, address: SocketAddr) -> Reply {
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let reply = request.send(address).await;
    assert_is_documented(method.as_str(), &path, &reply);
    reply
}

/// What the gateway's tests ask of answers.
pub(crate) trait ReplyExt {
    /// The code of a problem document.
    fn code(&self) -> String;
    /// `pointer code` of each bad field.
    fn bad_fields(&self) -> Vec<String>;
}

impl ReplyExt for Reply {
    fn code(&self) -> String {
        let problem = self.problem();
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{self:?}");
        problem["code"].as_str().unwrap().to_owned()
    }

    fn bad_fields(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let text = |error: &Value| {
            format!("{} {}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap())
        };
        errors.iter().map(text).collect()
    }
}

fn assert_is_documented(method: &str, path: &str, reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{reply:?}");
    let Some(operation) = operation(method, path) else { return };
    let response = &operation["responses"][reply.status.as_str()];
    assert!(response.is_object(), "{method} {path} does not document {}", reply.status);
    let media_type = reply.header("content-type").split(';').next().unwrap_or_default();
    assert!(
        response["content"][media_type].is_object(),
        "{method} {path} {} is of type {media_type}",
        reply.status
    );
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::to_value(waypost_gateway::document(waypost_gateway::Auth::Required)).unwrap()
});

/// The documented operation that a request means.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template.zip(path).all(|(part, actual)| part.starts_with('{') || part == actual)
    };
    let method = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
    let (_, item) = DOCUMENT["paths"].as_object().unwrap().iter().find(|(template, _)| fits(template))?;
    item.get(method)
}

/// Sends these bytes and reads to the end of the connection, whatever comes. A reset is an end too.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.ok();
    read_to_end(&mut stream).await
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    crate::shop::in_time(stream.read_to_end(&mut received)).await.ok();
    String::from_utf8_lossy(&received).into_owned()
}
