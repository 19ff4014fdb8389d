//! The telemetry handles of a process: one per role, each with its own service name.

use waypost_settings::Origin;
use waypost_telemetry::config::{Exporter, OtlpReceiver, Settings};
use waypost_telemetry::{Builder, InitError, TailGroup, Telemetry};

use super::Role;
use crate::settings::Effective;

/// Spans of the first order that each role keeps in memory; an order leaves about 25 in the busiest one.
const KEPT_SPANS: usize = 16_384;

/// Whether the roles remember their last spans, beside sending them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spans {
    /// For the story of the first order.
    Remembered,
    Exported,
}

/// What becomes of telemetry beyond this process.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    settings: Settings,
    /// Where spans are sent, if anywhere.
    pub(super) endpoint: Option<String>,
    is_named_after_role: bool,
    /// The roles of a process keep a trace together.
    tail_group: TailGroup,
}

impl Plan {
    /// The plan for these roles.
    pub(super) fn new(
        effective: &Effective,
        roles: &[Role],
        spans: Spans,
        viewer: Option<OtlpReceiver>,
    ) -> Plan {
        let mut settings = effective.settings.telemetry.clone();
        // They were told when the logs were set up.
        settings.warnings.clear();
        let is_sent = |exporter: &Exporter| {
            matches!(exporter, Exporter::OtlpHttp | Exporter::OtlpHttpJson | Exporter::OtlpGrpc)
        };
        let default = || "the OTLP port of this machine".to_owned();
        let endpoint = settings.otlp.traces.endpoint.clone().or_else(|| settings.otlp.endpoint.clone());
        let endpoint =
            settings.traces.exporters.iter().any(is_sent).then(|| endpoint.unwrap_or_else(default));
        let exporters = &mut settings.traces.exporters;
        if spans == Spans::Remembered && !exporters.contains(&Exporter::Memory) {
            exporters.retain(|exporter| *exporter != Exporter::None);
            exporters.push(Exporter::Memory);
            settings.traces.memory_capacity = KEPT_SPANS;
        }
        settings.otlp.additional.extend(viewer);
        let name_from = effective.origin("telemetry.service_name");
        let is_own_name = name_from != Origin::Default;
        if is_own_name && roles.len() > 1 {
            let name = &settings.service_name;
            tracing::warn!(
                "{name:?} from {name_from} names nobody: each role of this process has its own service.name"
            );
        }
        Plan {
            settings,
            endpoint,
            is_named_after_role: !(is_own_name && roles.len() == 1),
            tail_group: TailGroup::default(),
        }
    }

    /// The handle of a role. `is_first` says whether it reports the process's CPU time and memory.
    pub(super) fn handle(&self, role: Role, is_first: bool) -> Result<Telemetry, InitError> {
        let mut settings = self.settings.clone();
        if self.is_named_after_role {
            role.service_name().clone_into(&mut settings.service_name);
        }
        settings.metrics.process &= is_first;
        Builder::new(settings).tail_group(&self.tail_group).init()
    }
}
