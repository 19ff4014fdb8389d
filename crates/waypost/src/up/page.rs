//! The words of `waypost up` around the story: where things are, and what to try next.

use std::time::Duration;

use waypost_gateway::Auth;
use waypost_user::DEMO_PASSWORD;

use crate::console::Style;
use crate::load::Story;
use crate::roles::{Role, System};
use crate::settings::Effective;
use crate::viewer::Viewer;

/// What runs where.
pub(super) fn welcome(
    effective: &Effective,
    system: &System,
    viewer: Option<&Viewer>,
    took: Duration,
    style: Style,
) -> Vec<String> {
    let settings = &effective.settings;
    let data = match settings.data_dir().folder() {
        Some(folder) => format!("data in {}", folder.display()),
        None => "data in a temporary place that goes with the process".to_owned(),
    };
    let mut lines = vec![
        style.bold(&format!(
            "Waypost {} is up after {} ms: all roles in this process, {data}",
            env!("CARGO_PKG_VERSION"),
            took.as_millis()
        )),
        String::new(),
    ];
    let viewers = viewer.map(Viewer::addresses).unwrap_or_default();
    let viewers = viewers.iter().map(|(name, address)| (*name, address.to_string()));
    for (name, address) in system.addresses().iter().cloned().chain(viewers) {
        let what = match name {
            "gateway" => format!("http://{address}  (try it: /api/docs)"),
            "provider" => format!("http://{address}"),
            "admin" => format!("http://{address}  (/livez /readyz /metrics)"),
            "viewer" => match viewer {
                Some(viewer) => format!("{}  (traces)", viewer.link("/")),
                None => address,
            },
            "otlp-http" => format!("http://{address}  (spans of any program, OTLP)"),
            "zipkin" => format!("http://{address}  (spans of any program, Zipkin)"),
            _ => format!("{address}  (gRPC)"),
        };
        lines.push(format!("  {name:<10} {what}"));
    }
    lines.push(String::new());
    if settings.gateway.auth == Auth::Demo {
        lines.push(
            style.yellow("Demo mode: whoever reaches the gateway may order as any user, without a token."),
        );
        let beyond = if settings.gateway.demo_beyond_loopback { "allowed" } else { "refused" };
        lines.push(format!("It is {beyond} beyond loopback; `--set gateway.auth=required` asks for tokens."));
    }
    lines.push(match (system.export(), viewer) {
        (Some(endpoint), Some(_)) => format!("Telemetry goes to the viewer and to {endpoint}."),
        (Some(endpoint), None) => format!("Telemetry goes to {endpoint}."),
        (None, Some(_)) => {
            "Telemetry goes to the viewer; `--export http://collector:4318` sends it elsewhere too."
                .to_owned()
        }
        (None, None) => {
            "Telemetry stays here; `--export http://collector:4318` sends it to a collector.".to_owned()
        }
    });
    lines.push(String::new());
    lines
}

/// How long it took until the order was shown.
pub(super) fn measured(took: Duration) -> String {
    format!("From the start of the program to this line: {} ms.\n", took.as_millis())
}

/// What a person can copy into another terminal.
pub(super) fn next_steps(
    effective: &Effective,
    system: &System,
    order_id: Option<&str>,
    style: Style,
) -> Vec<String> {
    let order_id = order_id.unwrap_or("ORDER_ID");
    let gateway = system.url(Role::Gateway).unwrap_or_default();
    let order = |body: &str| {
        format!("  curl -i -X POST {gateway}/api/orders -H 'Content-Type: application/json' -d '{body}'")
    };
    let story = |story: Story| order(&String::from_utf8_lossy(&story.body()));
    let is_demo = effective.settings.gateway.auth == Auth::Demo;
    let login = if is_demo { String::new() } else { format!(" --password {DEMO_PASSWORD}") };
    let mut lines = vec![style.bold("Try next, from another terminal:")];
    if is_demo {
        lines.extend([
            "an order".to_owned(),
            story(Story::Success),
            "one that fails because nothing is left (409), and one that the provider declines (402)"
                .to_owned(),
            story(Story::OutOfStock),
            story(Story::Declined),
            "the orders of a user, one of them, and an attempt to cancel it (409 once it is paid)".to_owned(),
            format!("  curl '{gateway}/api/orders?user_id=user123'"),
            format!("  curl {gateway}/api/orders/{order_id}"),
            format!("  curl -X POST {gateway}/api/orders/{order_id}/cancel"),
        ]);
    }
    lines.extend([
        "a token, for `-H \"Authorization: Bearer TOKEN\"`".to_owned(),
        format!(
            "  curl -X POST {gateway}/api/login -H 'Content-Type: application/json' \
             -d '{{\"user_id\":\"user123\",\"password\":\"{DEMO_PASSWORD}\"}}'"
        ),
        "orders by the thousand".to_owned(),
        format!("  waypost load --target {gateway} --mix success=90,out-of-stock=5,declined=5{login}"),
        String::new(),
        "Ctrl-C stops.".to_owned(),
    ]);
    lines
}
