//! What a test does with a page and reads from it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::Browser;
use crate::PATIENCE;

/// The size of the window's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether it behaves as a phone's: touch, and the page's `viewport` counts.
    pub is_phone: bool,
}

impl Window {
    /// A small desktop window.
    pub const DESKTOP: Window = Window { width: 1280, height: 900, is_phone: false };
    /// A phone, upright.
    pub const PHONE: Window = Window { width: 390, height: 844, is_phone: true };
}

/// What the system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Light colours.
    Light,
    /// Dark colours.
    Dark,
}

/// A line of the browser's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleEntry {
    /// `SEVERE`, `WARNING`, `INFO` or `DEBUG`. Exceptions that nobody caught, requests that failed and what the content
    /// security policy stopped are `SEVERE`.
    pub level: String,
    /// Where it comes from and what it says.
    pub message: String,
}

/// Every call fails when the browser is gone or refuses it, and the error says why.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Browser {
    /// Opens an address and waits until it is loaded.
    pub async fn goto(&self, url: &str) -> anyhow::Result<()> {
        self.session
            .post("url", json!({"url": url}))
            .await
            .with_context(|| format!("opening {url}"))
            .map(drop)
    }

    /// Goes back, as the browser's button does.
    pub async fn back(&self) -> anyhow::Result<()> {
        self.session.post("back", json!({})).await.map(drop)
    }

    /// The address.
    pub async fn url(&self) -> anyhow::Result<String> {
        self.session.get("url").await.and_then(text)
    }

    /// The title.
    pub async fn title(&self) -> anyhow::Result<String> {
        self.session.get("title").await.and_then(text)
    }

    /// Runs the body of a function in the page, with `arguments`, and gives what it returns.
    pub async fn script(&self, body: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        self.session.post("execute/sync", json!({"script": body, "args": arguments})).await
    }

    /// The same for a body that calls its last argument, a function, with its result.
    pub async fn script_async(&self, body: &str, arguments: &[Value]) -> anyhow::Result<Value> {
        self.session.post("execute/async", json!({"script": body, "args": arguments})).await
    }

    /// Waits until an expression is truthy in the page, and gives its value. An error counts as "not yet": the page may be
    /// on its way from one address to the next.
    pub async fn wait_until(&self, expression: &str) -> anyhow::Result<Value> {
        let body = format!("const value = ({expression}); return {{value, holds: !!value}};");
        let mut last = String::from("was never asked");
        let asking = async {
            loop {
                match self.script(&body, &[]).await {
                    Ok(mut answer) if answer["holds"] == true => return answer["value"].take(),
                    Ok(answer) => last = answer["value"].to_string(),
                    Err(error) => last = format!("{error:#}"),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(value) => Ok(value),
            Err(_) => bail!("timed out waiting for `{expression}`; it is {last}"),
        }
    }

    /// Waits until a CSS selector finds something.
    pub async fn wait_for(&self, selector: &str) -> anyhow::Result<()> {
        self.wait_until(&format!("document.querySelector({}) !== null", Value::from(selector)))
            .await
            .map(drop)
    }

    /// The text of the first element that a CSS selector finds, as it is to be seen.
    pub async fn text(&self, selector: &str) -> anyhow::Result<String> {
        self.of_element(selector, "text").await
    }

    /// Its role for a screen reader.
    pub async fn role(&self, selector: &str) -> anyhow::Result<String> {
        self.of_element(selector, "computedrole").await
    }

    /// Its name for a screen reader.
    pub async fn label(&self, selector: &str) -> anyhow::Result<String> {
        self.of_element(selector, "computedlabel").await
    }

    async fn of_element(&self, selector: &str, what: &str) -> anyhow::Result<String> {
        let element = self.session.element(selector).await?;
        self.session.get(&format!("{element}/{what}")).await.and_then(text)
    }

    /// Clicks in the middle of it. Fails when something lies over it.
    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        let element = self.session.element(selector).await?;
        self.session.post(&format!("{element}/click"), json!({})).await.map(drop)
    }

    /// Types into it, after what it already holds.
    pub async fn type_into(&self, selector: &str, keys: &str) -> anyhow::Result<()> {
        let element = self.session.element(selector).await?;
        self.session.post(&format!("{element}/value"), json!({"text": keys})).await.map(drop)
    }

    /// Presses and releases keys one after the other, wherever the focus is. Keys of [`super::key`] are characters too.
    pub async fn press(&self, keys: impl IntoIterator<Item = char>) -> anyhow::Result<()> {
        self.press_with(&[], keys).await
    }

    /// The same while `held` are held down.
    pub async fn press_with(
        &self,
        held: &[char],
        keys: impl IntoIterator<Item = char>,
    ) -> anyhow::Result<()> {
        let action = |kind: &str, key: char| json!({"type": kind, "value": key});
        let mut actions: Vec<Value> = held.iter().map(|&key| action("keyDown", key)).collect();
        for key in keys {
            actions.extend([action("keyDown", key), action("keyUp", key)]);
        }
        actions.extend(held.iter().rev().map(|&key| action("keyUp", key)));
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.session.post("actions", json!({"actions": [keyboard]})).await.map(drop)
    }

    /// Gives the page another size.
    pub async fn resize(&self, window: Window) -> anyhow::Result<()> {
        let Window { width, height, is_phone } = window;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await?;
        self.devtools("Emulation.setTouchEmulationEnabled", json!({"enabled": is_phone})).await.map(drop)
    }

    /// Lets the system prefer light or dark colours.
    pub async fn prefer(&self, scheme: Scheme) -> anyhow::Result<()> {
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// What the console has said since the last call.
    pub async fn console(&self) -> anyhow::Result<Vec<ConsoleEntry>> {
        let entries = self.session.post("se/log", json!({"type": "browser"})).await?;
        let word = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let entry = |entry| ConsoleEntry { level: word(entry, "level"), message: word(entry, "message") };
        Ok(entries.as_array().context("the driver gave no list of entries")?.iter().map(entry).collect())
    }

    /// Writes what is to be seen into a PNG file.
    pub async fn screenshot(&self, file: &Path) -> anyhow::Result<()> {
        let picture = self.session.get("screenshot").await.and_then(text)?;
        let bytes = BASE64.decode(picture).context("the driver gave no picture")?;
        tokio::fs::write(file, bytes).await.with_context(|| format!("writing {}", file.display()))
    }
}

fn text(value: Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => bail!("the driver gave {other} where a text was asked for"),
    }
}
