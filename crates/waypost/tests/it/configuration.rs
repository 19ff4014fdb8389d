use std::fs;

use tempfile::tempdir;

use super::program::{ended, waypost};

#[test]
fn every_problem_of_a_broken_configuration_is_named_at_once() {
    let folder = tempdir().unwrap();
    let text = "[listen]\ngatway = \"127.0.0.1:1\"\norder = \"nowhere\"\n[drain]\ngrace = \"soon\"\n";
    fs::write(folder.path().join("waypost.toml"), text).unwrap();
    for command in [&["up"][..], &["config", "check"], &["run", "gateway"]] {
        let ended = ended(
            waypost(folder.path())
                .args(command)
                .env("WAYPOST_HEALTH__FAILURES", "many")
                .env("WAYPOST_TELEMETRY__TRACES__RATIO", "2.5"),
        );
        assert_eq!(ended.code, 64, "{ended:?}");
        let expected = [
            "waypost.toml:2: listen.gatway",
            "did you mean `gateway`",
            "waypost.toml:3: listen.order",
            "waypost.toml:5: drain.grace",
            "WAYPOST_HEALTH__FAILURES: health.failures",
            "WAYPOST_TELEMETRY__TRACES__RATIO: telemetry.traces.ratio",
        ];
        for part in expected {
            assert!(ended.err.contains(part), "{part:?} is missing in {}", ended.err);
        }
    }
}

#[test]
fn a_cache_of_another_kind_is_refused_with_the_kinds_there_are() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("waypost.toml"), "[cache]\nkind = \"memcached\"\n").unwrap();
    let ended = ended(waypost(folder.path()).args(["config", "check"]));
    assert_eq!(ended.code, 64, "{ended:?}");
    let expected =
        "waypost.toml:2: cache.kind: `memcached` is not a choice here; allowed: `embedded`, `redis`";
    assert!(ended.err.contains(expected), "{}", ended.err);
}

#[test]
fn rules_and_receivers_of_alerts_that_make_no_sense_are_named() {
    let folder = tempdir().unwrap();
    let text = "[[viewer.alerts.rules]]\nname = \"slow\"\nkind = \"latency\"\nthreshold = \"5%\"\n\
                [[viewer.alerts.receivers]]\nname = \"pager\"\nkind = \"webhook\"\nurl = \"pager\"\n";
    fs::write(folder.path().join("waypost.toml"), text).unwrap();
    let refused = |command: &[&str]| {
        let ended = ended(waypost(folder.path()).args(command));
        assert_eq!(ended.code, 64, "{ended:?}");
        ended.err
    };
    for command in [&["config", "check"][..], &["viewer"]] {
        let said = refused(command);
        for part in [
            "viewer.alerts.rules: rule 1 (`slow`): `threshold` `5%` is not a duration",
            "viewer.alerts.receivers: receiver 1 (`pager`): `url` must be an address",
        ] {
            assert!(said.contains(part), "{part:?} is missing in {said}");
        }
    }
    fs::write(
        folder.path().join("waypost.toml"),
        "[[viewer.alerts.rules]]\nname = \"a\"\nkind = \"weather\"\n",
    )
    .unwrap();
    let said = refused(&["config", "check"]);
    assert!(said.contains("viewer.alerts.rules") && said.contains("`error-share`"), "{said}");
    fs::write(
        folder.path().join("waypost.toml"),
        "[[viewer.alerts.rules]]\nname = \"a\"\nkind = \"no-data\"\n",
    )
    .unwrap();
    let shown = ended(waypost(folder.path()).args(["config", "check"]));
    assert_eq!(shown.code, 0, "{shown:?}");
}

#[cfg(not(feature = "kafka"))]
#[test]
fn kafka_in_a_build_without_it_is_refused_with_how_to_build_it() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("waypost.toml"), "[broker]\nkind = \"kafka\"\n").unwrap();
    for command in [&["config", "check"][..], &["run", "notification"]] {
        let ended = ended(waypost(folder.path()).args(command));
        assert_eq!(ended.code, 64, "{ended:?}");
        let expected = "broker.kind: this program was built without Kafka; build it with `cargo build --release --features kafka`";
        assert!(ended.err.contains(expected), "{}", ended.err);
    }
}

#[test]
fn a_service_address_with_tls_is_refused_with_the_reason() {
    let folder = tempdir().unwrap();
    let ended = ended(
        waypost(folder.path())
            .args(["config", "check"])
            .env("WAYPOST_GATEWAY__ORDER_SERVICE", "https://orders:443")
            .env("WAYPOST_ORDER__PAYMENT_TARGET", "https://payments:443"),
    );
    assert_eq!(ended.code, 64, "{ended:?}");
    for key in ["gateway.order_service", "order.payment_target"] {
        assert!(ended.err.contains(key), "{key} is missing in {}", ended.err);
    }
    assert_eq!(ended.err.matches("asks for TLS").count(), 2, "{}", ended.err);
}

#[test]
fn a_target_in_a_registry_takes_that_registry() {
    let folder = tempdir().unwrap();
    let check = |endpoints: &str| {
        let mut command = waypost(folder.path());
        command
            .args(["config", "check"])
            .env("WAYPOST_GATEWAY__ORDER_SERVICE", "etcd:///order")
            .env("WAYPOST_ORDER__PAYMENT_TARGET", "consul:///payment")
            .env("WAYPOST_DISCOVERY__ETCD__ENDPOINTS", endpoints);
        ended(&mut command)
    };
    let (without, with) = (check(""), check("http://127.0.0.1:2379"));
    assert_eq!((without.code, with.code), (64, 64), "{without:?} {with:?}");
    let missing = "gateway.order_service: is looked up in etcd, and discovery.etcd.endpoints names none";
    assert!(without.err.contains(missing), "{}", without.err);
    assert!(!with.err.contains(missing), "{}", with.err);
    let unknown = "order.payment_target: there is no registry `consul`; known is `etcd`";
    assert!(with.err.contains(unknown), "{}", with.err);
}

#[test]
fn a_certificate_for_etcd_that_cannot_be_used_ends_the_start() {
    let folder = tempdir().unwrap();
    let mut command = waypost(folder.path());
    command
        .args(["run", "gateway", "--gateway", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .env("WAYPOST_GATEWAY__USER_SERVICE", "etcd:///user")
        .env("WAYPOST_DISCOVERY__ETCD__ENDPOINTS", "https://127.0.0.1:2379")
        .env("WAYPOST_DISCOVERY__ETCD__CA_FILE", "/no/such/file");
    let ended = ended(&mut command);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("discovery.etcd.ca_file: /no/such/file cannot be used"), "{}", ended.err);
}

#[test]
fn a_database_that_there_is_not_is_refused_with_what_there_is() {
    let folder = tempdir().unwrap();
    let ended = ended(
        waypost(folder.path())
            .args(["config", "check"])
            .env("WAYPOST_DATABASE__KIND", "mysql")
            .env("WAYPOST_RUNTIME__NODE", "till/7"),
    );
    assert_eq!(ended.code, 64, "{ended:?}");
    let expected = "WAYPOST_DATABASE__KIND: database.kind: `mysql` is not a choice here; allowed: `embedded`, `postgres`";
    for part in [expected, "runtime.node: \"till/7\" is no name of a node"] {
        assert!(ended.err.contains(part), "{part:?} is missing in {}", ended.err);
    }
}

#[test]
fn the_documented_file_loads_without_problems_and_changes_nothing() {
    let folder = tempdir().unwrap();
    let print = || ended(waypost(folder.path()).args(["config", "print"]));
    let before = print();
    let docs = ended(waypost(folder.path()).args(["config", "docs"]));
    assert_eq!((before.code, docs.code), (0, 0), "{docs:?}");

    // A default stands as `#key = value`, a description as `# words`.
    let is_default = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_alphabetic() || first == '['))
    };
    let set = |line: &str| if is_default(line) { line[1..].to_owned() } else { line.to_owned() };
    let all_set: Vec<String> = docs.out.lines().map(set).collect();
    assert!(all_set.iter().any(|line| line == "gateway = \"127.0.0.1:8080\""), "{}", docs.out);
    fs::write(folder.path().join("waypost.toml"), all_set.join("\n")).unwrap();
    let check = ended(waypost(folder.path()).args(["config", "check"]));
    assert_eq!(check.code, 0, "{check:?}");
    let values = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("# from ")).map(str::to_owned).collect()
    };
    assert_eq!(values(&print().out), values(&before.out));
}

#[test]
fn the_documented_file_as_it_is_leaves_the_defaults_of_up_alone() {
    let folder = tempdir().unwrap();
    let print = || ended(waypost(folder.path()).args(["config", "print", "--up"])).out;
    let before = print();
    assert!(before.contains("auth = \"demo\""), "{before}");
    let docs = ended(waypost(folder.path()).args(["config", "docs"]));
    fs::write(folder.path().join("waypost.toml"), docs.out).unwrap();
    assert_eq!(print(), before);
}

#[test]
fn print_says_where_each_value_comes_from() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("waypost.toml"), "[drain]\ngrace = \"7s\"\n").unwrap();
    let ended = ended(
        waypost(folder.path())
            .args(["config", "print", "--data", "/srv/shop", "--set", "drain.notice=3s"])
            .env("WAYPOST_LISTEN__GATEWAY", "127.0.0.1:8888")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    let expected = [
        "# from waypost.toml:2\ngrace = \"7s\"",
        "# from --set drain.notice\nnotice = \"3s\"",
        "# from --data\nfolder = \"/srv/shop\"",
        "# from WAYPOST_LISTEN__GATEWAY\ngateway = \"127.0.0.1:8888\"",
        "# from OTEL_EXPORTER_OTLP_ENDPOINT\nendpoint = \"http://127.0.0.1:4318\"",
    ];
    for part in expected {
        assert!(ended.out.contains(part), "{part:?} is missing in\n{}", ended.out);
    }
}

#[test]
fn a_section_that_is_given_in_part_keeps_its_other_defaults() {
    let folder = tempdir().unwrap();
    let text = "[gateway.login_limit]\nper = \"5m\"\n[telemetry]\nenvironment = \"test\"\n[telemetry.traces]\nratio = 0.5\n";
    fs::write(folder.path().join("waypost.toml"), text).unwrap();
    let ended = ended(waypost(folder.path()).args(["config", "print"]));
    let (_, logins) = ended.out.split_once("[gateway.login_limit]").unwrap();
    assert!(logins.contains("\nrequests = 60\n"), "{}", ended.out);
    assert!(ended.out.contains("service_namespace = \"waypost\""), "{}", ended.out);
}

#[test]
fn a_broker_that_there_is_not_is_refused_by_name() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("waypost.toml"), "[broker]\nkind = \"rabbit\"\n").unwrap();
    let ended = ended(waypost(folder.path()).args(["config", "check"]));
    assert_eq!(ended.code, 64, "{ended:?}");
    for part in ["waypost.toml:2", "broker.kind", "rabbit", "embedded"] {
        assert!(ended.err.contains(part), "{part:?} is missing in {}", ended.err);
    }
}

#[test]
fn secrets_are_not_printed() {
    let folder = tempdir().unwrap();
    let secret = "correct-horse-battery-staple-0123456789";
    let text = format!(
        "[[gateway.tokens.keys]]\nkid = \"a\"\nsecret = \"{secret}\"\n[telemetry.otlp.headers]\nauthorization = \"{secret}\"\n"
    );
    fs::write(folder.path().join("waypost.toml"), text).unwrap();
    let ended = ended(waypost(folder.path()).args(["config", "print"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.out.contains(secret), "{}", ended.out);
    assert!(ended.out.contains("[redacted]"), "{}", ended.out);
}

#[test]
fn two_listeners_at_one_address_and_a_demo_for_everybody_are_refused() {
    let folder = tempdir().unwrap();
    let ended = ended(waypost(folder.path()).args([
        "config",
        "check",
        "--up",
        "--set",
        "listen.order=127.0.0.1:9091",
        "--set",
        "listen.gateway=0.0.0.0:8080",
    ]));
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("127.0.0.1:9091"), "{}", ended.err);
    assert!(ended.err.contains("gateway.auth"), "{}", ended.err);
    assert!(ended.err.contains("gateway.demo_beyond_loopback"), "{}", ended.err);
}

#[test]
fn the_version_names_the_commit_and_help_the_exit_codes() {
    let folder = tempdir().unwrap();
    let version = ended(waypost(folder.path()).arg("--version"));
    assert_eq!(version.code, 0);
    assert!(version.out.starts_with(concat!("waypost ", env!("CARGO_PKG_VERSION"), " (")), "{}", version.out);

    let help = ended(waypost(folder.path()).arg("--help"));
    assert_eq!(help.code, 0);
    for part in ["waypost up", "Exit codes:", "  69  "] {
        assert!(help.out.contains(part), "{part:?} is missing in {}", help.out);
    }
    for command in [
        "up",
        "run",
        "load",
        "config",
        "certificates",
        "migrate",
        "export",
        "import",
        "orders",
        "dead-letters",
        "topics",
        "health",
        "completions",
        "man-pages",
    ] {
        let help = ended(waypost(folder.path()).args([command, "--help"]));
        assert!(help.out.contains("Examples:"), "{command} has no examples: {}", help.out);
    }
    assert_eq!(ended(waypost(folder.path()).arg("--no-such-flag")).code, 64);
}

#[test]
fn the_topics_and_groups_of_a_configuration_are_listed() {
    let folder = tempdir().unwrap();
    let topics = |arguments: &[&str]| {
        let listed = ended(waypost(folder.path()).arg("topics").args(arguments));
        assert_eq!(listed.code, 0, "{listed:?}");
        listed.out
    };
    let first_words = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
    };
    let plain = topics(&[]);
    let expected = ["topic", "order-events", "order-events.dead-letter", "group", "notification-service"];
    assert_eq!(first_words(&plain), expected, "{plain}");

    let retries = ["--set", "broker.retry.kind=topics", "--set", "broker.retry.pauses=[\"1s\", \"1m\"]"];
    let listed = topics(&retries);
    let expected = [
        "topic",
        "order-events",
        "order-events.retry.1",
        "order-events.retry.2",
        "order-events.dead-letter",
        "group",
        "notification-service",
        "notification-service.retry.1",
        "notification-service.retry.2",
    ];
    assert_eq!(first_words(&listed), expected, "{listed}");
    let json: serde_json::Value =
        serde_json::from_str(&topics(&[&retries[..], &["--json"]].concat())).unwrap();
    assert_eq!(json["topics"][1]["retention_ms"], (24 * 3600 + 61) * 1000);
    assert_eq!(json["groups"][2]["topic"], "order-events.retry.2");

    let wrong = ["--set", "broker.retry.kind=topics", "--set", "broker.retry.pauses=[\"1m\", \"1s\"]"];
    let refused = ended(waypost(folder.path()).arg("topics").args(wrong));
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.err.contains("broker.retry.pauses: none may be shorter"), "{}", refused.err);
}

#[test]
fn completions_are_printed_for_the_common_shells() {
    let folder = tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let ended = ended(waypost(folder.path()).args(["completions", shell]));
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.contains("port-offset"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_flags_and_examples() {
    let folder = tempdir().unwrap();
    let written = ended(waypost(folder.path()).args(["man-pages", "man/man1"]));
    assert_eq!(written.code, 0, "{written:?}");
    let page = |name: &str| fs::read_to_string(folder.path().join("man/man1").join(name)).unwrap();
    assert!(page("waypost.1").contains("waypost\\-up(1)"), "{}", page("waypost.1"));
    let up = page("waypost-up.1");
    assert!(up.contains("\\-\\-port\\-offset") && up.contains("leaving nothing behind"), "{up}");
    assert!(page("waypost-orders-refund.1").contains("\\-\\-reason"));
}

/// What a container of the compose file would be told, and its health check with it.
#[test]
fn the_settings_of_the_compose_file_are_ones_that_the_program_takes() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/compose/compose.yaml"))
        .unwrap();
    let settings =
        text.lines().filter_map(|line| line.trim().split_once(": ")).filter_map(|(name, value)| {
            // `${NAME:-default}` is what Compose makes of a variable that is not set.
            let value = value.trim_matches('"');
            let value = value.split_once(":-").map_or(value, |(_, default)| default.trim_end_matches('}'));
            name.starts_with("WAYPOST_").then(|| (name.to_owned(), value.to_owned()))
        });
    let settings: Vec<(String, String)> = settings.filter(|(name, _)| name.contains("__")).collect();
    assert!(settings.len() > 6, "{settings:?}");
    let folder = tempdir().unwrap();
    let checked = ended(waypost(folder.path()).args(["config", "check", "--up"]).envs(settings.clone()));
    assert_eq!(checked.code, 0, "{checked:?}");
    let health = ended(waypost(folder.path()).args(["health", "--admin", "127.0.0.1:9"]).envs(settings));
    assert_eq!(health.code, 1, "the health check reads them too: {health:?}");
}

/// `cargo run` hands on what the build script set for the compiler. A name like a setting's would be refused as one.
#[test]
fn nothing_that_cargo_adds_to_the_environment_is_taken_for_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    // Not with the environment of the other tests, which is nearly empty.
    let mut inherits = std::process::Command::new(env!("CARGO_BIN_EXE_waypost"));
    let checked = ended(inherits.args(["config", "check"]).current_dir(folder.path()));
    assert_eq!(checked.code, 0, "{}", checked.err);
}
