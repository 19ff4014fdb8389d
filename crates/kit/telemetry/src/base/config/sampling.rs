//! Rules for sampling: which traces are recorded where one ratio for all of them is not enough.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waypost_settings::{Secret, settings};

settings! {
    /// Rules in front of the sampler, and what a parent decides. Anything that is set here has the kit decide by a threshold on
    /// the randomness of the trace id, which it writes to `tracestate` as `ot=th`, so that whoever counts the spans knows how many
    /// each stands for.
    ///
    /// ```
    /// use waypost_telemetry::Settings;
    ///
    /// let settings = Settings::from_toml(
    ///     r#"
    ///     [traces]
    ///     sampler = "parentbased_traceidratio"
    ///     ratio = 0.1
    ///     [[traces.sampling.rules]]
    ///     route = "/health*"
    ///     ratio = 0.0
    ///     [[traces.sampling.rules]]
    ///     tenant = "acme"
    ///     max_per_second = 50.0
    ///     "#,
    /// )?;
    /// assert_eq!(settings.traces.sampling.rules.len(), 2);
    /// # Ok::<(), waypost_telemetry::SettingsError>(())
    /// ```
    #[derive(PartialEq)]
    pub struct SamplingSettings {
        /// Decide by the threshold of consistent probability sampling also without any rule.
        pub consistent: bool = false,
        /// The first rule that fits a root decides about it; where none does, `traces.sampler` and `traces.ratio` do.
        pub rules: Vec<SamplingRule> = Vec::new(),
        /// What the parent-based samplers do with each kind of parent.
        pub parents: ParentSettings = ParentSettings::default(),
        /// A request header that has its trace recorded.
        pub debug_header: DebugHeaderSettings = DebugHeaderSettings::default(),
        /// Where the samplers `jaeger_remote` and `parentbased_jaeger_remote` ask.
        pub jaeger_remote: JaegerRemoteSettings = JaegerRemoteSettings::default(),
    }
}

settings! {
    /// A rule: the conditions that stand in it must all hold. In texts `*` stands for any characters.
    ///
    /// ```
    /// use waypost_telemetry::config::{RuleKind, SamplingRule};
    ///
    /// let rule = SamplingRule { kind: Some(RuleKind::Consumer), ratio: 0.01, ..SamplingRule::default() };
    /// assert_eq!(rule.route, None);
    /// ```
    #[derive(PartialEq)]
    pub struct SamplingRule {
        /// Kind of the span.
        pub kind: Option<RuleKind> = None,
        /// Name that the span starts with.
        pub name: Option<String> = None,
        /// `http.route`, or `url.path` where no route is known.
        pub route: Option<String> = None,
        /// Attributes that the span starts with, by their names, and the text of their values.
        pub attributes: BTreeMap<String, String> = BTreeMap::new(),
        /// The tenant of the request, as far as it is known when the span starts.
        pub tenant: Option<String> = None,
        /// Share of the traces that is recorded, 0 to 1. Of those with 0 nothing is kept by the tail buffer either.
        pub ratio: f64 = 1.0,
        /// Of that share, no more traces a second than this.
        pub max_per_second: Option<f64> = None,
    }
}

/// The kind of a span in a rule.
///
/// ```
/// let settings = waypost_telemetry::Settings::from_toml("[[traces.sampling.rules]]\nkind = \"server\"")?;
/// assert_eq!(settings.traces.sampling.rules[0].kind, Some(waypost_telemetry::config::RuleKind::Server));
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// Serves a request.
    Server,
    /// Makes one.
    Client,
    /// Sends a message.
    Producer,
    /// Works on one.
    Consumer,
    /// Within the process.
    Internal,
}

settings! {
    /// What a parent-based sampler does below each kind of parent.
    ///
    /// ```
    /// use waypost_telemetry::config::{ParentChoice, ParentSettings};
    ///
    /// let parents = ParentSettings { remote_not_sampled: ParentChoice::Root, ..ParentSettings::default() };
    /// assert_eq!(parents.local_not_sampled, ParentChoice::Follow);
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct ParentSettings {
        /// Below a recorded span of another process.
        pub remote_sampled: ParentChoice = ParentChoice::Follow,
        /// Below a span of another process that is not recorded.
        pub remote_not_sampled: ParentChoice = ParentChoice::Follow,
        /// Below a recorded span of this process.
        pub local_sampled: ParentChoice = ParentChoice::Follow,
        /// Below a span of this process that is not recorded.
        pub local_not_sampled: ParentChoice = ParentChoice::Follow,
    }
}

/// What is decided below a parent.
///
/// ```
/// use waypost_telemetry::config::ParentChoice;
///
/// let settings =
///     waypost_telemetry::Settings::from_toml("[traces.sampling.parents]\nremote_sampled = \"always_off\"")?;
/// assert_eq!(settings.traces.sampling.parents.remote_sampled, ParentChoice::AlwaysOff);
/// # Ok::<(), waypost_telemetry::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentChoice {
    /// As the parent.
    Follow,
    /// Recorded.
    AlwaysOn,
    /// Not recorded.
    AlwaysOff,
    /// As for a root: by the rules.
    Root,
}

settings! {
    /// A header by which a request asks to be recorded, whatever the sampler says of it.
    ///
    /// ```
    /// use waypost_settings::Secret;
    /// use waypost_telemetry::config::DebugHeaderSettings;
    ///
    /// let header = DebugHeaderSettings {
    ///     name: Some("x-debug-trace".to_owned()),
    ///     token: Some(Secret::new("a-long-random-text".to_owned())),
    /// };
    /// assert!(!format!("{header:?}").contains("random"));
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct DebugHeaderSettings {
        /// Name of the header; without it there is none.
        pub name: Option<String> = None,
        /// What the header must hold. Without it any value counts, and only from callers inside the system: a public endpoint
        /// then does not look at it.
        pub token: Option<Secret<String>> = None,
    }
}

settings! {
    /// Where a Jaeger collector or agent says how much is sampled.
    ///
    /// ```
    /// let remote = waypost_telemetry::config::JaegerRemoteSettings::default();
    /// assert_eq!(remote.endpoint, "http://localhost:5778/sampling");
    /// ```
    #[derive(PartialEq, Eq)]
    pub struct JaegerRemoteSettings {
        /// Address of the strategies; `?service=` and the service's name are added.
        pub endpoint: String = "http://localhost:5778/sampling".to_owned(),
        /// Time between two questions. Until the first answer `traces.ratio` is in force; when answers stay out, the last one.
        #[serde(with = "waypost_settings::std_duration")]
        pub interval: Duration = Duration::from_mins(1),
    }
}
