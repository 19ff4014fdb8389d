//! The manifests for Kubernetes and for the meshes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use waypost_service::Callers;

use super::{Container, deploy, list, texts};
use crate::program::{ended, waypost};

const ROLES: [&str; 6] = ["gateway", "order", "user", "inventory", "payment", "notification"];
const BASE: &str = "kubernetes/base";
/// Where settings come from: a file, and the environments that are laid over that of all pods.
const INSTALLATIONS: [(&str, &[&str]); 4] = [
    ("kubernetes/base/waypost.toml", &[]),
    ("kubernetes/overlays/dev/waypost.toml", &[]),
    ("kubernetes/overlays/prod/waypost.toml", &[]),
    ("kubernetes/overlays/prod/waypost.toml", &["kubernetes/components/mesh/settings.yaml"]),
];

/// Who may call which method of a service, as the services have it.
fn callers() -> [(&'static str, Callers); 4] {
    [
        ("order", waypost_order::grpc::CALLERS),
        ("user", waypost_user::grpc::CALLERS),
        ("inventory", waypost_inventory::grpc::CALLERS),
        ("payment", waypost_payment::grpc::CALLERS),
    ]
}

/// The objects of a file.
fn objects(file: &str) -> Vec<Value> {
    let path = deploy(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn object(file: &str, kind: &str) -> Value {
    objects(file).into_iter().find(|object| object["kind"] == kind).unwrap()
}

/// The environment of the only container; what the pod itself says stands as something like it.
fn environment(deployment: &Value) -> BTreeMap<String, String> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let pair = |variable: &Value| {
        let name = variable["name"].as_str().unwrap().to_owned();
        let value = variable["value"].as_str().unwrap_or("order-7d9c5b-x2x7q");
        (name, value.to_owned())
    };
    list(&container["env"]).iter().map(pair).collect()
}

/// The pod of every role in an installation.
fn container(file: &str, further: &[&str]) -> Container {
    let mut all = environment(&object("kubernetes/base/pod.yaml", "Deployment"));
    for file in further {
        all.extend(environment(&object(file, "Deployment")));
    }
    let file = deploy(file).display().to_string();
    all.insert("WAYPOST_CONFIG".to_owned(), file.clone());
    Container { name: file, arguments: Vec::new(), environment: all }
}

/// What the program has in effect, `section.key` by its value as it is written.
fn effective(container: &Container) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let printed = ended(waypost(folder.path()).args(["config", "print"]).envs(&container.environment));
    assert_eq!(printed.code, 0, "{printed:?}");
    let mut section = String::new();
    let mut found = BTreeMap::new();
    for line in printed.out.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            found.insert(format!("{section}.{key}"), value.trim_matches('"').to_owned());
        }
    }
    found
}

#[test]
fn no_installation_has_a_setting_that_there_is_not() {
    for (file, further) in INSTALLATIONS {
        assert_eq!(container(file, further).check(), Ok(()));
    }
}

#[test]
fn the_container_of_each_role_runs_that_role() {
    for role in ROLES {
        let deployment = object(&format!("{BASE}/{role}.yaml"), "Deployment");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(texts(&container["args"]), ["run", role]);
        assert_eq!(deployment["spec"]["template"]["spec"]["serviceAccountName"], role);
    }
}

/// A pod that is killed before its drain is over loses nothing, but answers nobody either.
#[test]
fn a_pod_has_the_time_that_its_drain_takes() {
    let pod = object("kubernetes/base/pod.yaml", "Deployment");
    let grace = pod["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    for (file, further) in INSTALLATIONS {
        let settings = effective(&container(file, further));
        let keys = ["drain.notice", "drain.grace", "telemetry.flush_timeout"];
        let takes: Duration =
            keys.iter().map(|key| settings[*key].parse::<waypost_settings::Duration>().unwrap().get()).sum();
        assert!(Duration::from_secs(grace) > takes, "{file}: {takes:?}");
    }
}

/// An arrow: who reaches whom at which port.
type Arrow = (String, String, u64);

fn component(selector: &Value) -> Option<String> {
    selector["matchLabels"]["app.kubernetes.io/component"].as_str().map(str::to_owned)
}

/// The arrows that policies of one direction draw between roles.
fn drawn(direction: &str, end: &str) -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for policy in objects(&format!("{BASE}/network-policies.yaml")) {
        let Some(own) = component(&policy["spec"]["podSelector"]) else { continue };
        for rule in list(&policy["spec"][direction]) {
            let peers = list(&rule[end]).iter().filter_map(|peer| component(&peer["podSelector"]));
            for peer in peers {
                for port in list(&rule["ports"]) {
                    let port = port["port"].as_u64().unwrap();
                    let (from, to) = if end == "to" { (&own, &peer) } else { (&peer, &own) };
                    arrows.insert((from.clone(), to.clone(), port));
                }
            }
        }
    }
    arrows
}

/// What the tables of callers say, with the ports of the services.
fn allowed() -> BTreeSet<Arrow> {
    let mut arrows = BTreeSet::new();
    for (service, methods) in callers() {
        let port = object(&format!("{BASE}/{service}.yaml"), "Service")["spec"]["ports"][0]["port"].clone();
        for caller in methods.iter().flat_map(|(_, callers)| *callers) {
            arrows.insert(((*caller).to_owned(), service.to_owned(), port.as_u64().unwrap()));
        }
    }
    arrows
}

#[test]
fn network_policies_let_through_the_calls_that_services_take_and_no_others() {
    assert_eq!(drawn("ingress", "from"), allowed());
    // The provider is outside: nothing of ours lets anybody in there.
    let mut outgoing = allowed();
    outgoing.insert(("payment".to_owned(), "provider".to_owned(), 9095));
    assert_eq!(drawn("egress", "to"), outgoing);
    let policies = objects(&format!("{BASE}/network-policies.yaml"));
    let deny = policies.iter().find(|policy| policy["metadata"]["name"] == "deny-all").unwrap();
    assert_eq!(deny["spec"]["podSelector"], Value::Object(serde_json::Map::new()));
    assert_eq!(texts(&deny["spec"]["policyTypes"]), ["Ingress", "Egress"]);
    assert!(deny["spec"].get("ingress").is_none() && deny["spec"].get("egress").is_none());
}

#[test]
fn istio_lets_through_the_calls_that_services_take_and_no_others() {
    let mut arrows = BTreeSet::new();
    for policy in objects("istio/security.yaml") {
        let Some(service) = component(&policy["spec"]["selector"]) else { continue };
        for rule in list(&policy["spec"]["rules"]) {
            let principals = list(&rule["from"]).iter().flat_map(|from| texts(&from["source"]["principals"]));
            let ports: Vec<String> =
                list(&rule["to"]).iter().flat_map(|to| texts(&to["operation"]["ports"])).collect();
            for caller in principals {
                let caller = caller.rsplit('/').next().unwrap().to_owned();
                let port = |port: &String| (caller.clone(), service.clone(), port.parse().unwrap());
                arrows.extend(ports.iter().map(port));
            }
        }
    }
    assert_eq!(arrows, allowed());
}

#[test]
fn linkerd_lets_in_whom_services_take_calls_from_and_nobody_else() {
    let objects = objects("linkerd/identities.yaml");
    let named = |kind: &str, name: &Value| {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == *name;
        objects.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let mut arrows = BTreeSet::new();
    for policy in objects.iter().filter(|object| object["kind"] == "AuthorizationPolicy") {
        let server = &named("Server", &policy["spec"]["targetRef"]["name"])["spec"];
        assert_eq!(server["accessPolicy"], "deny");
        let (service, port) = (component(&server["podSelector"]).unwrap(), server["port"].as_u64().unwrap());
        for required in list(&policy["spec"]["requiredAuthenticationRefs"]) {
            for identity in texts(&named("MeshTLSAuthentication", &required["name"])["spec"]["identities"]) {
                let (caller, of) = identity.split_once('.').unwrap();
                assert_eq!(of, "waypost.serviceaccount.identity.linkerd.cluster.local");
                arrows.insert((caller.to_owned(), service.clone(), port));
            }
        }
    }
    assert_eq!(arrows, allowed());
}

#[test]
fn linkerd_has_a_route_for_each_method() {
    let routes = objects("linkerd/routes.yaml");
    for (service, methods) in callers() {
        let route = routes.iter().find(|route| route["metadata"]["name"] == service).unwrap();
        let named: BTreeSet<&str> = list(&route["spec"]["rules"])
            .iter()
            .flat_map(|rule| list(&rule["matches"]))
            .filter_map(|matching| matching["method"]["method"].as_str())
            .collect();
        let known: BTreeSet<&str> = methods.iter().map(|(method, _)| *method).collect();
        assert_eq!(named, known, "{service}");
    }
}
