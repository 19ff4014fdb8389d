//! From the command line, the environment and the file to [`Settings`], or to every problem at once.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use http::Uri;
use waypost_settings::{Complaint, File, Flag, Loaded, Origin, Problem, Problems, Sources};
use waypost_telemetry::config::{Exporter, FromVariable};

use super::{CacheKind, Settings, otel};
use crate::exit::{Exit, Failure, OrExit as _};
use crate::roles::{Role, is_node_name};

/// Read when no file is named, if it exists.
const DEFAULT_FILE: &str = "waypost.toml";

/// What the names of our variables start with.
pub(crate) const PREFIX: &str = "WAYPOST_";

/// Variables with our prefix that are no settings.
const NOT_SETTINGS: [&str; 3] = ["WAYPOST_CONFIG", "WAYPOST_LOAD_PASSWORD", "WAYPOST_COMMIT"];

/// The process environment, read once. Variables that are not UTF-8 are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(Vec<(String, String)>);

impl Environment {
    pub(crate) fn of_process() -> Environment {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment(std::env::vars_os().filter_map(text).collect())
    }

    /// A variable's value; an empty one counts as unset, as OpenTelemetry asks.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }
}

/// What the program is about to do; some defaults depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// `waypost up`: a demo on one machine.
    Up,
    /// `waypost run` and everything else.
    Run,
}

impl Profile {
    /// Defaults that differ from those of the structs.
    fn defaults(self) -> Vec<(String, String)> {
        let defaults: &[(&str, &str)] = match self {
            Profile::Up => &[
                // The curl of the README works without a token; refused beyond loopback.
                ("gateway.auth", "demo"),
                ("gateway.require_idempotency_key", "false"),
                ("user.seed", "true"),
                ("inventory.seed", "true"),
                // Nobody probes a demo, and Ctrl-C should not take seconds.
                ("drain.notice", "0s"),
                ("telemetry.flush_timeout", "2s"),
                // The story of the first order stays readable.
                ("telemetry.logs.filter", "warn"),
            ],
            Profile::Run => &[],
        };
        defaults.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }
}

/// The configuration in effect.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) settings: Settings,
    origins: Loaded<Settings>,
    otel: Vec<FromVariable>,
    layers: Layers,
}

/// Where a configuration was read from, to read it again.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    profile: Profile,
    file: Option<PathBuf>,
    environment: Environment,
    flags: Vec<Flag>,
}

impl Layers {
    /// Loads every layer anew. Of them the file alone can have changed.
    pub(crate) fn load(&self) -> Result<Settings, Failure> {
        load(self.profile, self.file.as_deref(), &self.environment, self.flags.clone())
            .map(|effective| effective.settings)
    }

    /// The text of the file, if there is one that can be read.
    pub(crate) fn text(&self) -> Option<String> {
        std::fs::read_to_string(self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE))).ok()
    }
}

impl Effective {
    /// Where it was read from.
    pub(crate) fn layers(&self) -> Layers {
        self.layers.clone()
    }

    /// Where a value comes from.
    pub(crate) fn origin(&self, key: &str) -> Origin {
        let is_set_by = |given: &&FromVariable| otel::is_within(key, &format!("telemetry.{}", given.setting));
        match self.otel.iter().rfind(is_set_by) {
            Some(given) => Origin::Environment(given.variable.to_owned()),
            None => self.origins.origin(key),
        }
    }

    /// Where spans go when nobody has said so: by `up` only to an endpoint that is named, and to 4317, the port of
    /// OTLP over gRPC, in that form.
    fn choose_exporters(&mut self, profile: Profile) {
        if self.origin("telemetry.traces.exporters") != Origin::Default {
            return;
        }
        let Settings { telemetry, .. } = &mut self.settings;
        let endpoint = telemetry.otlp.traces.endpoint.as_ref().or(telemetry.otlp.endpoint.as_ref());
        let port = endpoint.and_then(|endpoint| endpoint.parse::<Uri>().ok()?.port_u16());
        if endpoint.is_none() && profile == Profile::Up {
            telemetry.traces.exporters.clear();
        } else if port == Some(4317) {
            telemetry.traces.exporters = vec![Exporter::OtlpGrpc];
        }
    }

    /// Refuses roles that would listen where others than this machine reach them and nobody is asked who they are.
    pub(crate) fn check_exposure(&self, roles: &[Role]) -> Result<(), Failure> {
        let exposed = self.settings.tls.exposed(&self.settings.listen, roles);
        if exposed.is_empty() {
            return Ok(());
        }
        let problem = |Complaint { key, reason }| Problem { origin: self.origin(&key), key, reason };
        let problems = Problems::new(exposed.into_iter().map(problem).collect());
        Err(Failure::message(Exit::BadConfig, problems))
    }

    /// Adds `offset` to every port that no flag names; a port of 0 stays 0.
    pub(crate) fn shift_ports(&mut self, offset: u16) -> Result<(), Failure> {
        for (name, address) in self.settings.listen.named_mut() {
            let is_flagged = matches!(self.origins.origin(&format!("listen.{name}")), Origin::Flag(_));
            if is_flagged || address.port() == 0 {
                continue;
            }
            let port = address.port().checked_add(offset).ok_or_else(|| {
                let reason = format!("--port-offset {offset} moves the port of {name} beyond 65535");
                Failure::message(Exit::BadConfig, reason)
            })?;
            address.set_port(port);
        }
        Ok(())
    }
}

/// Loads every layer.
pub(crate) fn load(
    profile: Profile,
    file: Option<&Path>,
    environment: &Environment,
    flags: Vec<Flag>,
) -> Result<Effective, Failure> {
    let layers = Layers {
        profile,
        file: file.map(Path::to_path_buf),
        environment: environment.clone(),
        flags: flags.clone(),
    };
    let sources = Sources {
        defaults: profile.defaults(),
        file: read(file)?,
        prefix: PREFIX.to_owned(),
        environment: environment.0.clone(),
        not_settings: NOT_SETTINGS.map(str::to_owned).to_vec(),
        flags,
    };
    let loaded = waypost_settings::load::<Settings>(&sources, check);
    // Also when the rest is wrong, so that every problem is named at once.
    let mut telemetry = match &loaded {
        Ok(loaded) => loaded.value.telemetry.clone(),
        Err(_) => Settings::default().telemetry,
    };
    let otel = otel::overlay(&mut telemetry, environment, &sources.flags);
    match (loaded, otel) {
        (Ok(loaded), Ok(otel)) => {
            let settings = Settings { telemetry, ..loaded.value.clone() };
            let mut effective = Effective { settings, origins: loaded, otel, layers };
            effective.choose_exporters(profile);
            Ok(effective)
        }
        (loaded, otel) => {
            let problems = [loaded.err(), otel.err()].into_iter().flatten();
            let problems: Vec<Problem> =
                problems.flat_map(|problems| problems.iter().cloned().collect::<Vec<_>>()).collect();
            Err(Failure::message(Exit::BadConfig, Problems::new(problems).to_string()))
        }
    }
}

fn read(file: Option<&Path>) -> Result<Option<File>, Failure> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(File { name, text })),
        Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).or_exit(Exit::BadConfig, format!("cannot read the configuration file {name}"))
        }
    }
}

/// Rules between settings that no type can state.
fn check(settings: &Settings) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let listen = settings.listen.named();
    for (place, (name, address)) in listen.iter().enumerate() {
        let earlier = listen.iter().take(place);
        let is_any = address.tcp().is_some_and(|address| address.port() == 0);
        let twin = earlier.clone().find(|(_, other)| !is_any && other == address);
        if let Some((twin, _)) = twin {
            let reason = format!("{address} is the address of {twin} too; choose another");
            complaints.push(Complaint::new(format!("listen.{name}"), reason));
        }
    }
    let address = settings.listen.gateway;
    if settings.gateway.exposes_demo(address) {
        let reason = format!(
            "`demo` lets anybody order as anybody; it is refused at {address}, beyond loopback, unless \
             gateway.demo_beyond_loopback says that nobody else reaches that"
        );
        complaints.push(Complaint::new("gateway.auth", reason));
    }
    let node = &settings.runtime.node;
    if !node.is_empty() && !is_node_name(node) {
        let reason = format!("{node:?} is no name of a node: up to 64 letters, digits and `-_.`");
        complaints.push(Complaint::new("runtime.node", reason));
    }
    complaints.extend(settings.tls.check().into_iter().map(|complaint| complaint.under("tls")));
    let database = settings.database.check().into_iter();
    complaints.extend(database.map(|complaint| complaint.under("database")));
    complaints.extend(settings.broker.kafka.check(settings.broker.kind));
    let retry = settings.broker.retry.check().into_iter();
    complaints.extend(retry.map(|complaint| complaint.under("broker.retry")));
    complaints.extend(settings.discovery.check().into_iter().map(|complaint| complaint.under("discovery")));
    let targets = [
        ("gateway.order_service", &settings.gateway.order_service),
        ("gateway.user_service", &settings.gateway.user_service),
        ("gateway.inventory_service", &settings.gateway.inventory_service),
        ("order.inventory_target", &settings.order.inventory_target),
        ("order.payment_target", &settings.order.payment_target),
    ];
    for (key, target) in targets {
        complaints.extend(settings.discovery.check_target(key, target));
    }
    if settings.cache.kind == CacheKind::Redis {
        let redis = settings.cache.redis.check().into_iter();
        complaints.extend(redis.map(|complaint| complaint.under("cache.redis")));
    }
    complaints.extend(settings.gateway.check().into_iter().map(|complaint| complaint.under("gateway")));
    complaints.extend(settings.order.check().into_iter().map(|complaint| complaint.under("order")));
    let provider = settings.payment.provider.check().into_iter();
    complaints.extend(provider.map(|complaint| complaint.under("payment.provider")));
    complaints.extend(settings.viewer.check().into_iter().map(|complaint| complaint.under("viewer")));
    let telemetry = settings.telemetry.complaints();
    complaints.extend(telemetry.into_iter().map(|complaint| complaint.under("telemetry")));
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn loaded(profile: Profile, environment: &[(&str, &str)]) -> Settings {
        let variables = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(profile, None, &Environment(variables.collect()), Vec::new()).unwrap().settings
    }

    #[test]
    fn up_sends_spans_only_where_it_is_told_to() {
        let exporters =
            |profile, environment: &[(&str, &str)]| loaded(profile, environment).telemetry.traces.exporters;
        let (http, grpc) = (vec![Exporter::OtlpHttp], vec![Exporter::OtlpGrpc]);
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert_eq!(exporters(Profile::Up, &[]), []);
        assert_eq!(exporters(Profile::Run, &[]), http);
        assert_eq!(exporters(Profile::Up, &[(endpoint, "http://127.0.0.1:4318")]), http);
        assert_eq!(exporters(Profile::Up, &[(endpoint, "http://127.0.0.1:4317")]), grpc);
        assert_eq!(
            exporters(Profile::Up, &[(endpoint, "http://h:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]),
            grpc
        );
        assert_eq!(exporters(Profile::Up, &[("OTEL_TRACES_EXPORTER", "otlp")]), http);
    }

    #[test]
    fn a_flag_wins_over_a_standard_variable_and_that_over_ours() {
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318"),
            ("WAYPOST_TELEMETRY__OTLP__ENDPOINT", "http://ours:4318"),
        ];
        let variables = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment(variables.to_vec());
        let endpoint = |flags: Vec<Flag>| {
            let effective = load(Profile::Run, None, &environment, flags).unwrap();
            effective.settings.telemetry.otlp.endpoint.unwrap()
        };
        assert_eq!(endpoint(Vec::new()), "http://standard:4318");
        let flag = Flag::parse("--set", "telemetry.otlp.endpoint=http://flag:4318").unwrap();
        assert_eq!(endpoint(vec![flag]), "http://flag:4318");
    }

    #[test]
    fn every_section_that_is_given_in_part_keeps_the_defaults_of_the_rest() {
        let documented = Settings::documented();
        let mut text = String::new();
        for section in documented.iter().filter(|field| field.is_section) {
            let is_own = |key: &str| key.rsplit_once('.').is_some_and(|(parent, _)| parent == section.key);
            let first = documented.iter().find(|field| !field.is_section && is_own(&field.key));
            if let Some((field, default)) = first.and_then(|field| Some((field, field.default.as_ref()?))) {
                let name = field.key.rsplit('.').next().unwrap();
                writeln!(text, "[{}]\n{name} = {default}", section.key).unwrap();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("partial.toml");
        std::fs::write(&file, text).unwrap();
        let partial = load(Profile::Run, Some(&file), &Environment::default(), Vec::new()).unwrap();
        assert_eq!(partial.settings.documented_values(), documented);
    }
}
