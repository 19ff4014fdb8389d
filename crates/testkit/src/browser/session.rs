//! WebDriver's exchanges: a command is a path and a JSON body, an answer is a value or an error with a name.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Value, json};

use crate::{Client, PATIENCE};

/// The key under which WebDriver hands out elements (W3C WebDriver, section 12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// An open session: one browser window.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    path: String,
}

impl Session {
    pub(super) async fn open(address: SocketAddr, capabilities: &Value) -> anyhow::Result<Session> {
        let client = Client::new(address);
        let opened = call(&client, Method::POST, "/session", Some(capabilities)).await?;
        let id = opened["sessionId"].as_str().context("the driver gave no session")?;
        Ok(Session { path: format!("/session/{id}"), client })
    }

    pub(super) async fn get(&self, command: &str) -> anyhow::Result<Value> {
        call(&self.client, Method::GET, &format!("{}/{command}", self.path), None).await
    }

    pub(super) async fn post(&self, command: &str, body: Value) -> anyhow::Result<Value> {
        call(&self.client, Method::POST, &format!("{}/{command}", self.path), Some(&body)).await
    }

    /// The path of the first element that a CSS selector finds.
    pub(super) async fn element(&self, selector: &str) -> anyhow::Result<String> {
        let found = self.post("element", json!({"using": "css selector", "value": selector})).await?;
        let id = found[ELEMENT].as_str().with_context(|| format!("no element `{selector}`"))?;
        Ok(format!("element/{id}"))
    }
}

async fn call(client: &Client, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let body = body.map(Value::to_string);
    let exchange = client.send(method, path, &[], body.as_deref());
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let answer = answer.with_context(|| format!("{path} was not answered in time"))??;
    let value = &answer.json["value"];
    if !answer.status.is_success() {
        let text = |name: &str| value[name].as_str().unwrap_or_default();
        // What follows the first line is the driver's own stack.
        bail!("{}: {}", text("error"), text("message").lines().next().unwrap_or_default());
    }
    Ok(value.clone())
}
