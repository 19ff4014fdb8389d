//! Settings that decide about a trace, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use waypost_telemetry::config::{ParentChoice, RuleKind, SamplerKind, SamplingRule};
use waypost_telemetry::{Settings, Telemetry};

/// A share that takes none of the traces of a measurement, and is not none.
const HARDLY_ANY: f64 = 1e-9;

/// A handle that samples as `name` says and sends to where the variables say.
pub(super) fn start(name: &str) -> anyhow::Result<Telemetry> {
    let mut settings = Settings::new("shop");
    settings.overlay_env(&|name| std::env::var(name).ok())?;
    settings.traces.sampler = SamplerKind::ParentBasedRatio;
    settings.traces.ratio = 0.0;
    let traces = &mut settings.traces;
    let sampling = &mut traces.sampling;
    match name {
        "always_on" => traces.sampler = SamplerKind::AlwaysOn,
        "always_off" => traces.sampler = SamplerKind::AlwaysOff,
        "ratio" => {}
        "consistent" => {
            sampling.consistent = true;
            traces.ratio = HARDLY_ANY;
        }
        "last-rule" => sampling.rules = rules("/orders/*"),
        "no-rule" => sampling.rules = rules("/none/*"),
        "bucket" => {
            // Its one token goes to the warm-up.
            let rate = Some(0.000_1);
            sampling.rules = vec![SamplingRule { max_per_second: rate, ..SamplingRule::default() }];
        }
        "root-below-unsampled" => sampling.parents.remote_not_sampled = ParentChoice::Root,
        "debug-header" => sampling.debug_header.name = Some("x-debug-trace".to_owned()),
        "tail" => {
            traces.ratio = HARDLY_ANY;
            hold(&mut settings, 256 << 10);
        }
        other => bail!("no sampler is called {other}"),
    }
    Ok(waypost_telemetry::init(settings)?)
}

/// Five rules on routes and attributes, the last with this route.
fn rules(last: &str) -> Vec<SamplingRule> {
    let rule = |route: &str, method: &str| SamplingRule {
        kind: Some(RuleKind::Server),
        route: Some(route.to_owned()),
        attributes: BTreeMap::from([("http.request.method".to_owned(), method.to_owned())]),
        ratio: 0.0,
        ..SamplingRule::default()
    };
    // The route of the third fits and its method does not.
    vec![
        rule("/health*", "GET"),
        rule("/products/*", "GET"),
        rule("/orders/*", "GET"),
        rule("*/internal", "POST"),
        rule(last, "PO*"),
    ]
}

/// Has traces wait that nothing but an error would keep.
fn hold(settings: &mut Settings, max_bytes: usize) {
    settings.traces.tail.enabled = true;
    settings.traces.tail.max_bytes = max_bytes;
    settings.traces.tail.slow = Duration::ZERO;
    settings.traces.tail.rare_interval = Duration::ZERO;
}

/// A handle whose traces are all left out: without a tail buffer, or with one of so many bytes.
pub(super) fn left_out(max_bytes: Option<u64>) -> anyhow::Result<Telemetry> {
    let mut settings = Settings::new("shop");
    settings.overlay_env(&|name| std::env::var(name).ok())?;
    settings.traces.sampler = SamplerKind::ParentBasedRatio;
    settings.traces.ratio = HARDLY_ANY;
    if let Some(max_bytes) = max_bytes {
        hold(&mut settings, usize::try_from(max_bytes)?);
    }
    Ok(waypost_telemetry::init(settings)?)
}
