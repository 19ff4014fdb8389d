//! Loading a configuration.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde::{Deserialize, Serialize};
use waypost_settings::{
    ByteSize, Complaint, Duration, File, Flag, Loaded, Origin, Problems, Secret, Settings, Sources,
    commented_toml, load, markdown_table, settings,
};

settings! {
    /// The shop.
    #[derive(PartialEq)]
    pub(crate) struct Shop {
        /// How it is called.
        pub(crate) name: String = "Waypost".to_owned(),
        /// Opens the till.
        pub(crate) till_key: Option<Secret<String>> = None,
        /// The kitchen.
        pub(crate) kitchen: Kitchen = Kitchen::default(),
    }
}

settings! {
    /// The kitchen.
    #[derive(PartialEq)]
    pub(crate) struct Kitchen {
        /// Where it listens.
        /// Port 0 takes any.
        pub(crate) listen: std::net::SocketAddr = ([127, 0, 0, 1], 9090).into(),
        /// Time that an order may wait.
        pub(crate) patience: Duration = Duration::from_secs(2),
        /// Largest order.
        pub(crate) order_size: ByteSize = ByteSize::kib(64),
        /// How the cook feels.
        pub(crate) mood: Mood = Mood::Calm,
        /// Cooks at work.
        pub(crate) cooks: u16 = 3,
        /// Whether cooks work side by side.
        pub(crate) parallel: bool = true,
        /// What is served | sold.
        pub(crate) dishes: Vec<String> = vec!["soup".to_owned()],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mood {
    Calm,
    Busy,
}

fn file(text: &str) -> File {
    File { name: "waypost.toml".to_owned(), text: text.to_owned() }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn from_environment(pairs: &[(&str, &str)]) -> Sources {
    Sources::from_environment("WAYPOST_", variables(pairs))
}

fn load_shop(sources: &Sources) -> Result<Loaded<Shop>, Problems> {
    load(sources, |_| Vec::new())
}

fn problems(sources: &Sources) -> Vec<String> {
    load_shop(sources).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn each_layer_covers_the_one_below() {
    let sources = Sources {
        defaults: variables(&[("kitchen.mood", "busy"), ("kitchen.cooks", "4"), ("name", "default")]),
        file: Some(file("name = \"file\"\n[kitchen]\ncooks = 5\npatience = \"1s\"\n")),
        prefix: "WAYPOST_".to_owned(),
        environment: variables(&[("WAYPOST_KITCHEN__PATIENCE", "500ms"), ("WAYPOST_NAME", "environment")]),
        flags: vec![Flag::parse("--set", "name=flag").unwrap()],
        ..Sources::default()
    };
    let loaded = load_shop(&sources).unwrap();
    let shop = &loaded.value;
    assert_eq!((shop.name.as_str(), shop.kitchen.cooks, shop.kitchen.mood), ("flag", 5, Mood::Busy));
    assert_eq!(shop.kitchen.patience, Duration::from_millis(500));
    assert_eq!(loaded.origin("name"), Origin::Flag("--set name".to_owned()));
    assert_eq!(
        loaded.origin("kitchen.patience"),
        Origin::Environment("WAYPOST_KITCHEN__PATIENCE".to_owned())
    );
    assert_eq!(loaded.origin("kitchen.cooks"), Origin::File { name: "waypost.toml".to_owned(), line: 3 });
    assert_eq!(loaded.origin("kitchen.listen"), Origin::Default);
}

#[test]
fn a_section_header_without_settings_takes_nothing_away() {
    let sources = Sources {
        defaults: variables(&[("kitchen.mood", "busy")]),
        file: Some(file("[kitchen]\n")),
        ..Sources::default()
    };
    assert_eq!(load_shop(&sources).unwrap().value.kitchen.mood, Mood::Busy);
}

#[test]
fn text_from_the_environment_becomes_what_the_setting_needs() {
    let sources = from_environment(&[
        ("WAYPOST_NAME", "8080"),
        ("WAYPOST_TILL_KEY", "hunter2"),
        ("WAYPOST_KITCHEN__COOKS", "7"),
        ("WAYPOST_KITCHEN__PARALLEL", "false"),
        ("WAYPOST_KITCHEN__LISTEN", "0.0.0.0:80"),
        ("WAYPOST_KITCHEN__ORDER_SIZE", "1000"),
        ("WAYPOST_KITCHEN__DISHES", "soup, bread"),
        ("PATH", "/bin"),
    ]);
    let shop = load_shop(&sources).unwrap().value;
    assert_eq!(shop.name, "8080");
    assert_eq!(shop.till_key.unwrap().expose(), "hunter2");
    assert_eq!((shop.kitchen.cooks, shop.kitchen.parallel), (7, false));
    assert_eq!(shop.kitchen.order_size, ByteSize::bytes(1000));
    assert_eq!(shop.kitchen.dishes, ["soup", "bread"]);
}

#[test]
fn all_problems_of_all_layers_are_told_at_once_in_their_order() {
    let sources = Sources {
        file: Some(file("nam = 1\n\n[kitchen]\nlisten = \"here\"\npatience = \"soon\"\nmood = \"bussy\"\n")),
        prefix: "WAYPOST_".to_owned(),
        environment: variables(&[("WAYPOST_KITCHEN__COOKS", "70000"), ("WAYPOST_KICHEN__COOKS", "1")]),
        flags: vec![Flag::parse("--set", "kitchen.parallel=perhaps").unwrap()],
        ..Sources::default()
    };
    let expected = [
        "waypost.toml:1: nam: there is no such setting; did you mean `name`? Allowed: `name`, `till_key`, `kitchen`",
        "waypost.toml:4: kitchen.listen: invalid socket address syntax",
        "waypost.toml:5: kitchen.patience: `soon` is not a duration; write a number with its unit, such as \"2s\" \
         or \"500ms\"",
        "waypost.toml:6: kitchen.mood: `bussy` is not a choice here; did you mean `busy`? Allowed: `calm`, `busy`",
        "WAYPOST_KICHEN__COOKS: kichen: there is no such setting; did you mean `kitchen`? Allowed: `name`, \
         `till_key`, `kitchen`",
        "WAYPOST_KITCHEN__COOKS: kitchen.cooks: invalid value: integer `70000`, expected u16",
        "--set kitchen.parallel: kitchen.parallel: invalid type: string \"perhaps\", expected a boolean",
    ];
    assert_eq!(problems(&sources), expected);
}

#[test]
fn a_file_that_is_not_toml_is_told_with_its_line() {
    let sources = Sources {
        file: Some(file("name = \"a\"\n[kitchen\ncooks = 1\n")),
        prefix: "WAYPOST_".to_owned(),
        environment: variables(&[("WAYPOST_KITCHEN__COOKS", "many")]),
        ..Sources::default()
    };
    let problems = problems(&sources);
    assert!(problems[0].starts_with("waypost.toml:2: not TOML: "), "{problems:?}");
    assert!(problems.last().unwrap().starts_with("WAYPOST_KITCHEN__COOKS: "), "{problems:?}");
}

#[test]
fn a_rule_between_values_is_told_with_the_place_of_the_value() {
    let sources = Sources {
        file: Some(file("[kitchen]\ncooks = 0\npatience = 2\n")),
        prefix: "WAYPOST_".to_owned(),
        environment: variables(&[("WAYPOST_NAME", "")]),
        ..Sources::default()
    };
    let check = |shop: &Shop| {
        let kitchen = Complaint::new("cooks", "somebody has to cook").under("kitchen");
        let name = Complaint::new("name", "must not be empty");
        let patience = Complaint::new("kitchen.patience", "already told by its type");
        if shop.kitchen.cooks == 0 { vec![kitchen, name, patience] } else { vec![] }
    };
    let problems: Vec<String> = load(&sources, check).unwrap_err().iter().map(ToString::to_string).collect();
    let expected = [
        "waypost.toml:2: kitchen.cooks: somebody has to cook",
        "waypost.toml:3: kitchen.patience: invalid type: integer `2`, expected a duration such as \"2s\"",
        "WAYPOST_NAME: name: must not be empty",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn names_that_are_not_settings_are_left_alone() {
    let mut sources = from_environment(&[("WAYPOST_CONFIG", "waypost.toml")]);
    assert!(load_shop(&sources).is_err());
    sources.not_settings.push("WAYPOST_CONFIG".to_owned());
    assert!(load_shop(&sources).is_ok());
}

#[test]
fn a_secret_is_neither_printed_nor_told_in_a_problem() {
    let sources = Sources { file: Some(file("till_key = [\"hunter2\"]")), ..Sources::default() };
    assert!(!problems(&sources).concat().contains("hunter2"));
    let sources = Sources { file: Some(file("till_key = \"hunter2\"")), ..Sources::default() };
    let shop = load_shop(&sources).unwrap().value;
    let printed = format!("{shop:?}{}", toml::to_string(&shop).unwrap());
    assert!(!printed.contains("hunter2") && printed.contains("[redacted]"), "{printed}");
    let printed_back = Sources { file: Some(file("till_key = \"[redacted]\"")), ..Sources::default() };
    assert!(problems(&printed_back)[0].contains("not the secret itself"));
}

#[test]
fn the_commented_file_holds_every_default_and_loads_to_the_same() {
    let text = commented_toml(&Shop::describe());
    let expected = r#"# How it is called.
name = "Waypost"
# Opens the till.
# till_key = <secret String>

# The kitchen.
[kitchen]
# Where it listens.
# Port 0 takes any.
listen = "127.0.0.1:9090"
# Time that an order may wait.
patience = "2s"
# Largest order.
order_size = "64KiB"
# How the cook feels.
mood = "calm"
# Cooks at work.
cooks = 3
# Whether cooks work side by side.
parallel = true
# What is served | sold.
dishes = ["soup"]
"#;
    assert_eq!(text, expected);
    let shop = load_shop(&Sources { file: Some(file(&text)), ..Sources::default() }).unwrap().value;
    assert_eq!(shop, Shop::default());
}

#[test]
fn the_table_has_a_row_per_setting_and_survives_a_bar_in_the_text() {
    let table = markdown_table(&Shop::describe(), "WAYPOST_");
    assert_eq!(table.lines().count(), 2 + 9);
    assert!(table.contains(
        "| `kitchen.patience` | Duration | `\"2s\"` | `WAYPOST_KITCHEN__PATIENCE` | Time that an order may wait. |"
    ));
    assert!(table.contains("| What is served \\| sold. |"));
}

settings! {
    /// A branch.
    #[derive(PartialEq)]
    pub(crate) struct Branch {
        /// A kitchen that is not like every other.
        pub(crate) kitchen: Kitchen = Kitchen { cooks: 9, parallel: false, ..Kitchen::default() },
        /// Time between two deliveries.
        #[serde(with = "waypost_settings::std_duration")]
        pub(crate) delivery: std::time::Duration = std::time::Duration::from_mins(90),
        /// What is no setting.
        #[serde(skip)]
        pub(crate) noted: Vec<String> = Vec::new(),
    }
}

#[test]
fn a_section_given_in_part_keeps_what_the_struct_above_has() {
    let text = "[kitchen]\nparallel = true\n";
    let branch = load::<Branch>(&Sources { file: Some(file(text)), ..Sources::default() }, |_| Vec::new());
    let kitchen = branch.unwrap().value.kitchen;
    assert_eq!((kitchen.cooks, kitchen.parallel, kitchen.mood), (9, true, Mood::Calm));
}

#[test]
fn a_field_is_described_as_it_is_written_and_skipped_if_it_is_no_setting() {
    let fields = Branch::describe();
    let delivery = fields.iter().find(|field| field.key == "delivery").unwrap();
    assert_eq!(delivery.default, Some("1h 30m".into()));
    assert!(fields.iter().all(|field| field.key != "noted"), "{fields:?}");
    let sources = Sources { file: Some(file("noted = [\"a\"]")), ..Sources::default() };
    assert!(load::<Branch>(&sources, |_| Vec::new()).is_err());
}

#[test]
fn something_in_a_section_is_its_origin() {
    let loaded = load_shop(&from_environment(&[("WAYPOST_KITCHEN__COOKS", "5")])).unwrap();
    assert_eq!(loaded.origin("kitchen"), Origin::Environment("WAYPOST_KITCHEN__COOKS".to_owned()));
}
