//! What a handle says about its origin: service, process, host, operating system, container, pod, SDK.
//!
//! Small detectors of our own, because the upstream one sends the arguments of the process, which may hold
//! secrets. Everything is read once, at the start, from files; nothing is asked over the network. What cannot be
//! read is left out. Settings win over what is detected.

mod creation;
mod kubernetes;

use std::collections::BTreeMap;
use std::path::Path;

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::resource::{ResourceDetector, TelemetryResourceDetector};

use crate::base::config::{Detector, Settings};
use crate::core::ids::Ids;

/// `ids` make the one of the instance, if the settings have none.
pub(crate) fn attributes(settings: &Settings, ids: &Ids) -> Vec<KeyValue> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    let sdk = TelemetryResourceDetector.detect();
    found.extend(sdk.iter().map(|(key, value)| (key.to_string(), value.clone())));
    let mut put = |pairs: Vec<(&str, Value)>| {
        found.extend(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)));
    };
    put(distribution());
    for detector in &settings.detectors {
        put(match detector {
            Detector::Process => process(),
            Detector::Os => os(),
            Detector::Host => host(),
            Detector::Container => container(),
        });
    }
    found.extend(settings.resource_attributes.iter().map(|(key, value)| (key.clone(), value.clone().into())));
    let list = |texts: &Vec<String>| {
        Value::Array(Array::String(texts.iter().cloned().map(StringValue::from).collect()))
    };
    found.extend(settings.resource_lists.iter().map(|(key, texts)| (key.clone(), list(texts))));
    found.extend(service(settings, ids).into_iter().map(|(key, value)| (key.to_owned(), value)));
    found.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect()
}

fn service(settings: &Settings, ids: &Ids) -> Vec<(&'static str, Value)> {
    let given = |id: &String| id.clone().into();
    let instance =
        settings.resource_attributes.get("service.instance.id").or(settings.service_instance_id.as_ref());
    let mut pairs = vec![
        ("service.name", settings.service_name.clone().into()),
        ("service.instance.id", instance.map_or_else(|| uuid(ids).into(), given)),
    ];
    let optional = [
        ("service.namespace", &settings.service_namespace),
        ("service.version", &settings.service_version),
        ("deployment.environment.name", &settings.environment),
    ];
    pairs.extend(optional.into_iter().filter_map(|(key, value)| Some((key, value.clone()?.into()))));
    pairs
}

/// Beside `telemetry.sdk.*`, which the SDK knows best: that it is this kit that drives it.
fn distribution() -> Vec<(&'static str, Value)> {
    vec![
        ("telemetry.distro.name", env!("CARGO_PKG_NAME").into()),
        ("telemetry.distro.version", env!("CARGO_PKG_VERSION").into()),
    ]
}

fn process() -> Vec<(&'static str, Value)> {
    let mut pairs =
        vec![("process.pid", i64::from(std::process::id()).into()), ("process.runtime.name", "rust".into())];
    if let Ok(path) = std::env::current_exe() {
        if let Some(name) = path.file_name() {
            pairs.push(("process.executable.name", name.to_string_lossy().into_owned().into()));
        }
        pairs.push(("process.executable.path", path.to_string_lossy().into_owned().into()));
    }
    if let Some(time) = creation::time() {
        pairs.push(("process.creation.time", time.into()));
    }
    if let Some(owner) = owner() {
        pairs.push(("process.owner", owner.into()));
    }
    pairs
}

/// Name of the user that runs the process, or its number.
fn owner() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let uid =
        status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.to_owned();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    Some(name.unwrap_or(uid))
}

fn os() -> Vec<(&'static str, Value)> {
    let mut pairs = vec![("os.type", std::env::consts::OS.into())];
    if let Some(release) = trimmed("/proc/sys/kernel/osrelease") {
        pairs.push(("os.version", release.into()));
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    for (field, key) in [("NAME=", "os.name"), ("PRETTY_NAME=", "os.description")] {
        if let Some(value) = release.lines().find_map(|line| line.strip_prefix(field)) {
            pairs.push((key, value.trim_matches('"').to_owned().into()));
        }
    }
    pairs
}

fn host() -> Vec<(&'static str, Value)> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "x86",
        other => other,
    };
    let mut pairs: Vec<(&'static str, Value)> = vec![("host.arch", arch.into())];
    if let Some(name) = trimmed("/proc/sys/kernel/hostname") {
        pairs.push(("host.name", name.into()));
    }
    if let Some(id) = trimmed("/etc/machine-id").or_else(|| trimmed("/var/lib/dbus/machine-id")) {
        pairs.push(("host.id", id.into()));
    }
    pairs
}

fn container() -> Vec<(&'static str, Value)> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let mounts = read("/proc/self/mountinfo");
    let id = container_id(&read("/proc/self/cgroup"), &mounts);
    let mut pairs = kubernetes::pod(&mounts);
    pairs.extend(id.map(|id| ("container.id", id.into())));
    pairs
}

/// Control groups of version 1 name the container in their path; under version 2 only the mounts that the
/// container runtime made do.
fn container_id(cgroup: &str, mounts: &str) -> Option<String> {
    let from_cgroup = cgroup.lines().find_map(|line| {
        let name = Path::new(line.rsplit(':').next()?).file_name()?.to_str()?;
        let name = name.strip_suffix(".scope").unwrap_or(name);
        hex_id(name.rsplit('-').next()?)
    });
    let from_mounts = || {
        let hostname = mounts.lines().find(|line| line.contains("/hostname "))?;
        hostname.split('/').find_map(hex_id)
    };
    from_cgroup.or_else(from_mounts)
}

fn hex_id(text: &str) -> Option<String> {
    let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| text.to_owned())
}

fn trimmed(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Version 4.
fn uuid(ids: &Ids) -> String {
    let random = (u128::from_be_bytes(ids.new_trace_id().to_bytes()) & !(0xf << 76) & !(0x3 << 62))
        | (0x4 << 76)
        | (0x2 << 62);
    let hex = format!("{random:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f2c8a1b9d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8";

    fn value(attributes: &[KeyValue], key: &str) -> Option<String> {
        attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|found| found.value.to_string())
    }

    #[test]
    fn settings_win_over_what_is_detected() {
        let mut settings = Settings::new("order-service");
        settings.resource_attributes.insert("host.name".to_owned(), "chosen".to_owned());
        settings.resource_attributes.insert("service.name".to_owned(), "other".to_owned());
        settings.environment = Some("test".to_owned());
        let attributes = attributes(&settings, &Ids::default());
        assert_eq!(value(&attributes, "host.name").as_deref(), Some("chosen"));
        assert_eq!(value(&attributes, "service.name").as_deref(), Some("order-service"));
        assert_eq!(value(&attributes, "deployment.environment.name").as_deref(), Some("test"));
        assert_eq!(value(&attributes, "process.pid"), Some(std::process::id().to_string()));
    }

    #[test]
    fn arguments_of_the_process_are_not_sent() {
        let attributes = attributes(&Settings::default(), &Ids::default());
        assert!(attributes.iter().all(|attribute| !attribute.key.as_str().starts_with("process.command")));
    }

    #[test]
    fn a_container_is_found_by_its_control_group() {
        for group in [
            format!("12:cpu:/docker/{ID}\n"),
            format!("0::/system.slice/docker-{ID}.scope\n"),
            format!("1:name=systemd:/kubepods/besteffort/pod1/cri-containerd-{ID}.scope"),
        ] {
            assert_eq!(container_id(&group, "").as_deref(), Some(ID), "{group}");
        }
        let mount = format!("7 6 0:1 /docker/containers/{ID}/hostname /etc/hostname rw\n");
        assert_eq!(container_id("0::/\n", &mount).as_deref(), Some(ID));
        assert_eq!(container_id("0::/user.slice/session-2.scope\n", "1 2 3:4 / / rw\n"), None);
    }

    #[test]
    fn instance_ids_are_uuids_and_differ() {
        let id = uuid(&Ids::default());
        assert_eq!((id.len(), &id[14..15]), (36, "4"));
        assert!("89ab".contains(&id[19..20]));
        assert_ne!(id, uuid(&Ids::default()));
    }
}
