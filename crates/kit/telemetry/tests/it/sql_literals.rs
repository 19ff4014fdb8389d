//! No part of a literal, a number or a comment ever stands in a summary or in a sanitised text, whatever it holds and
//! however the product writes it.

use std::sync::LazyLock;

use proptest::prelude::*;
use waypost_telemetry::sql::summarize;
use waypost_telemetry::testing::TestTelemetry;

/// Stands in every literal and comment.
const SECRET: &str = "alice";
/// Stands in every number.
const NUMBER: &str = "424242";

const PRODUCTS: [&str; 6] =
    ["postgresql", "mysql", "sqlite", "microsoft.sql_server", "oracle.db", "some_other_product"];

/// What a careless reader stumbles over.
const TRAPS: [&str; 26] = [
    "'",
    "''",
    "\"",
    "\\",
    "\\\\",
    "\\'",
    "`",
    "$",
    "$$",
    "$q$",
    "--",
    "-- ",
    "/*",
    "*/",
    "#",
    "\n",
    "\r",
    "[",
    "]",
    "]'",
    ";",
    " FROM ",
    " JOIN x, ",
    "é",
    "?",
    " UNION SELECT ",
];

fn content() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => prop::sample::select(TRAPS.to_vec()), 1 => Just(SECRET), 1 => Just(" b ")];
    (prop::collection::vec(part.clone(), 0..5), prop::collection::vec(part, 0..5))
        .prop_map(|(before, after)| format!("{}{SECRET}{}", before.concat(), after.concat()))
}

fn doubled(quote: char, content: &str) -> String {
    let escaped = content.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{escaped}{quote}")
}

fn backslashed(quote: char, content: &str) -> String {
    let escaped = content.replace('\\', "\\\\").replace(quote, &format!("\\{quote}"));
    format!("{quote}{escaped}{quote}")
}

/// The ways in which a product writes `content`.
fn literals(product: &str, content: &str) -> Vec<String> {
    let standard = doubled('\'', content);
    match product {
        "postgresql" => vec![
            standard,
            format!("E{}", backslashed('\'', content)),
            format!("E{}\n  {}", backslashed('\'', content), backslashed('\'', content)),
            format!("$tag${}$tag$", content.replace("$tag$", "")),
            format!("$${}$$", content.replace('$', "")),
            format!("DATE {}", doubled('\'', content)),
            format!("ARRAY[{}, 'x']", doubled('\'', content)),
        ],
        "mysql" => vec![
            backslashed('\'', content),
            backslashed('"', content),
            doubled('\'', &content.replace('\\', "\\\\")),
            format!("_utf8mb4{}", backslashed('\'', content)),
        ],
        "sqlite" => vec![standard, doubled('"', content)],
        "microsoft.sql_server" => vec![standard.clone(), format!("N{standard}"), doubled('"', content)],
        "oracle.db" => vec![
            standard,
            format!("q'[{}]'", content.replace("]'", "")),
            format!("nq'!{}!'", content.replace("!'", "")),
        ],
        _ => {
            let products = PRODUCTS.iter().filter(|known| **known != product);
            let mut all: Vec<String> = products.flat_map(|known| literals(known, content)).collect();
            all.push(format!("'''{}'''", content.replace("'''", "")));
            all.push(format!("r{}", doubled('\'', content)));
            all
        }
    }
}

/// The ways in which a product writes a remark.
fn remarks(product: &str, content: &str) -> Vec<String> {
    let line = content.replace(['\n', '\r'], "");
    let block = content.replace(['*', '/', '!'], "");
    let mut all = vec![format!("-- {line}\n"), format!("/* {block} */")];
    match product {
        "postgresql" | "microsoft.sql_server" => all.push(format!("/* /* {block} */ {block} */")),
        "mysql" => all.push(format!("# {line}\n")),
        "some_other_product" => {
            all.extend([format!("# {line}\n"), format!("// {line}\n"), format!("--{line}\n")]);
            all.push(format!("/* /* {block} */ {block} */"));
        }
        _ => {}
    }
    all
}

const FORMS: [&str; 13] = [
    "SELECT {L} AS x, a FROM orders WHERE b = {L} {C} AND c IN ({L}, {N}) ORDER BY {L}, {N}",
    "SELECT * FROM t1, (SELECT {L} AS x FROM t2 {C}) y, t3 WHERE f({L}) = {N}",
    "SELECT * FROM orders o JOIN items i ON i.a = {L}, u WHERE i.b LIKE {L}",
    "INSERT INTO orders (a, b) VALUES ({L}, {N}), ({L}, -{N}); DELETE FROM items WHERE x = {L}",
    "INSERT INTO orders SELECT {L}, {L} FROM items UNION SELECT {L}, {L}",
    "{C} UPDATE orders SET a = {L}, b = {N} WHERE c = {L} AND d BETWEEN {N} AND {N}",
    "WITH c AS (SELECT {L} AS a) SELECT * FROM c, u WHERE u.a = {L}",
    "SELECT a IS DISTINCT FROM {L}, TRIM(BOTH FROM {L}), EXTRACT(day FROM {L}) FROM t",
    "DELETE FROM orders WHERE a = {L} OR a = 1e{N}",
    "CALL settle({L}, {N})",
    "SET search = {L}; SELECT {N}",
    "CREATE TABLE t (a TEXT DEFAULT {L}, b INT CHECK (b < {N}))",
    "EXPLAIN SELECT a FROM t WHERE {C} a = {L}",
];

fn filled(
    form: &str,
    mut literal: impl FnMut() -> String,
    mut remark: impl FnMut() -> String,
    number: &str,
) -> String {
    let mut sql = String::new();
    for piece in form.split_inclusive('}') {
        let (text, hole) = piece.split_once('{').unwrap_or((piece, ""));
        sql.push_str(text);
        match hole {
            "L}" => sql.push_str(&literal()),
            "C}" => sql.push_str(&remark()),
            "N}" => sql.push_str(number),
            _ => {}
        }
    }
    sql
}

/// For the one test that looks at spans.
static TELEMETRY: LazyLock<TestTelemetry> = LazyLock::new(|| TestTelemetry::new("s"));
static READ: LazyLock<TestTelemetry> = LazyLock::new(|| TestTelemetry::new("s"));

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_literal_is_ever_shown(
        product in prop::sample::select(PRODUCTS.to_vec()),
        form in prop::sample::select(FORMS.to_vec()),
        contents in prop::collection::vec((content(), any::<prop::sample::Index>()), 8),
    ) {
        let mut literal = contents.iter().cycle().map(|(content, way)| way.get(&literals(product, content)).clone());
        let mut remark = contents.iter().cycle().map(|(content, way)| way.get(&remarks(product, content)).clone());
        let sql = filled(form, || literal.next().unwrap(), || remark.next().unwrap(), NUMBER);

        TELEMETRY.forget();
        let mut operation = TELEMETRY.sql(product, "shop").start("work");
        operation.dynamic_statement(&sql);
        operation.succeed();
        let span = TELEMETRY.finished_spans().remove(0);
        let shown = |key| span.attribute(key).map(ToString::to_string).unwrap_or_default();
        let (text, summary) = (shown("db.query.text"), shown("db.query.summary"));
        for shown in [&text, &summary, span.name()] {
            prop_assert!(!shown.contains(SECRET), "{product}: {sql}\nshows\n{shown}");
            prop_assert!(!shown.contains(NUMBER), "{product}: {sql}\nshows\n{shown}");
        }
        // Where the dialect is known nothing is lost by it.
        if product != "some_other_product" {
            let plain = filled(form, || "'x'".to_owned(), String::new, "1");
            prop_assert_eq!(summary, summarize(product, &plain), "{}: {}", product, sql);
        }
    }

    #[test]
    fn any_text_at_all_is_read(product in prop::sample::select(PRODUCTS.to_vec()), sql in any::<String>()) {
        prop_assert!(summarize(product, &sql).len() <= 255);
        READ.sql(product, "shop").start("work").dynamic_statement(&sql);
    }

    #[test]
    fn any_traps_are_read(
        product in prop::sample::select(PRODUCTS.to_vec()),
        traps in prop::collection::vec(prop::sample::select(TRAPS.to_vec()), 0..12),
    ) {
        let sql = traps.concat();
        prop_assert!(summarize(product, &sql).len() <= 255);
        READ.sql(product, "shop").start("work").dynamic_statement(&sql);
    }
}
