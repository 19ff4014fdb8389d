//! How the programs that are compared are started.

/// Telemetry, and where it goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Telemetry {
    Off,
    /// To the viewer of the same process, which is what `up` does by itself.
    Viewer,
}

/// One way to start a program.
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) telemetry: Telemetry,
}

pub(super) const WAYS: [Way; 2] = [
    Way { name: "telemetry off", telemetry: Telemetry::Off },
    Way { name: "100 % to its viewer", telemetry: Telemetry::Viewer },
];

impl Way {
    /// What `waypost up` is started with.
    pub(super) fn arguments(&self) -> &'static [&'static str] {
        match self.telemetry {
            Telemetry::Off => &["--no-first-order", "--no-viewer"],
            Telemetry::Viewer => &["--no-first-order"],
        }
    }

    /// What every process of this way finds in its environment.
    pub(super) fn environment(&self) -> &'static [(&'static str, &'static str)] {
        match self.telemetry {
            Telemetry::Off => &[("OTEL_SDK_DISABLED", "true")],
            Telemetry::Viewer => &[],
        }
    }
}
