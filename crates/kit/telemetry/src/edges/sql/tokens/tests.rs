//! What the products take for a word.

use super::*;

fn words(dialect: Dialect, text: &str) -> Vec<&str> {
    Tokens::of(text, dialect)
        .filter_map(|token| match token {
            Token::Word(word) | Token::Quoted(word) | Token::MaybeQuoted(word) => Some(word),
            _ => None,
        })
        .collect()
}

#[test]
fn comments_literals_and_parameters_are_no_words() {
    let text = "SELECT /* FROM a /* nested */ */ 'FROM '' b' -- FROM c\n, $1, $$ FROM d $$, $x$FROM e$x$, :f, 0x1F FROM g";
    assert_eq!(words(Dialect::Postgres, text), ["SELECT", "FROM", "g"]);
}

#[test]
fn a_backslash_escapes_where_the_product_says_so() {
    for (dialect, text, expected) in [
        (Dialect::Postgres, r"E'x\' FROM alice' y", vec!["y"]),
        (Dialect::Postgres, r"'x\' FROM y", vec!["FROM", "y"]),
        (Dialect::Postgres, "E'a'\n -- more\n 'b\\' alice' y", vec!["y"]),
        (Dialect::MySql, r"'x\' FROM alice' y", vec!["y"]),
        (Dialect::MySql, r"'x\\' y", vec!["y"]),
        (Dialect::Sqlite, r"'x\' y", vec!["y"]),
        (Dialect::Unknown, r"a 'x\' FROM alice' y", vec!["a"]),
        (Dialect::Unknown, r"a 'x\\' y", vec!["a", "y"]),
    ] {
        assert_eq!(words(dialect, text), expected, "{text}");
    }
}

#[test]
fn what_only_some_products_know_is_read_by_those() {
    for (dialect, text, expected) in [
        (Dialect::MySql, "a # alice\nb", vec!["a", "b"]),
        (Dialect::Postgres, "a # b", vec!["a", "b"]),
        (Dialect::SqlServer, "FROM #orders", vec!["FROM", "#orders"]),
        (Dialect::Unknown, "a # alice\nb", vec!["a"]),
        (Dialect::MySql, "5--1\nb", vec!["b"]),
        (Dialect::Unknown, "a --alice\nb", vec!["a"]),
        (Dialect::Sqlite, "/* /* */ a", vec!["a"]),
        (Dialect::Unknown, "b /* /* */ a", vec!["b"]),
        (Dialect::MySql, "b /*!40000 'x */ alice' */ a", vec!["b"]),
        (Dialect::MySql, r#"a "alice" b"#, vec!["a", "b"]),
        (Dialect::Postgres, r#""a""b" c"#, vec![r#""a""b""#, "c"]),
        (Dialect::SqlServer, "[a]]b] c", vec!["[a]]b]", "c"]),
        (Dialect::Postgres, "ARRAY['alice'] b", vec!["ARRAY", "b"]),
        (Dialect::Unknown, "[a b] ['alice'] c", vec!["[a b]"]),
        (Dialect::Unknown, "a[1] b", vec!["a", "b"]),
        (Dialect::Oracle, "q'[it's alice]' b nq'!alice!' c", vec!["b", "c"]),
        (Dialect::Unknown, "a q'[it's alice]' b", vec!["a"]),
        (Dialect::Unknown, "a '''alice' bob''' c", vec!["a"]),
        (Dialect::Postgres, "-- a\rb", vec!["b"]),
        (Dialect::MySql, "a -- b\rc", vec!["a"]),
    ] {
        assert_eq!(words(dialect, text), expected, "{text}");
    }
}

#[test]
fn text_that_never_ends_ends() {
    let all = [
        Dialect::Postgres,
        Dialect::MySql,
        Dialect::Sqlite,
        Dialect::SqlServer,
        Dialect::Oracle,
        Dialect::Unknown,
    ];
    for dialect in all {
        for text in
            ["'abc", "\"abc", "/* abc", "$tag$ abc", "-- abc", "[", "[]", "$", "é'", "'\\", "q'", "q'["]
        {
            assert!(Tokens::of(text, dialect).count() <= 4, "{text}");
        }
    }
}

#[test]
fn a_huge_text_is_read_in_part() {
    let text = "é ".repeat(100_000);
    assert!(Tokens::of(&text, Dialect::Sqlite).count() < MAX_READ);
}
