//! `tracestate`: what is passed on, and which lists are dropped whole. The grammar is that of level 2.

use crate::harness::Harness;

/// Every character a key may have, and every one a value may have.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@";
const VALUE: &str =
    " !\"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

#[tokio::test]
async fn a_list_is_passed_on_in_its_order() {
    let mut harness = Harness::start().await;
    assert_eq!(harness.state(&["foo=1,bar=2"]).await.as_deref(), Some("foo=1,bar=2"));
    let lists = ["foo=1,bar=2", "rojo=1,congo=2", "baz=3"];
    assert_eq!(harness.state(&lists).await.as_deref(), Some("foo=1,bar=2,rojo=1,congo=2,baz=3"));
}

#[tokio::test]
async fn without_a_parent_a_list_is_dropped() {
    let mut harness = Harness::start().await;
    assert_eq!(harness.call(&[("tracestate", "foo=1")]).await.tracestate, None);
}

#[tokio::test]
async fn empty_members_and_whitespace_are_not_passed_on() {
    let mut harness = Harness::start().await;
    assert_eq!(harness.state(&[""]).await, None);
    assert_eq!(harness.state(&[" , \t,"]).await, None);
    assert_eq!(harness.state(&["", "foo=1", ""]).await.as_deref(), Some("foo=1"));
    for list in ["foo=1 \t , \t bar=2", "foo=1,,bar=2", "\t foo=1,bar=2 \t", ",foo=1,bar=2,"] {
        assert_eq!(harness.state(&[list]).await.as_deref(), Some("foo=1,bar=2"), "{list:?}");
    }
}

#[tokio::test]
async fn every_allowed_character_passes() {
    let mut harness = Harness::start().await;
    let list = format!("{KEY}={VALUE},b= leading spaces stay");
    assert_eq!(harness.state(&[&list]).await, Some(list));
}

#[tokio::test]
async fn an_at_sign_is_a_character_like_others() {
    let mut harness = Harness::start().await;
    for key in ["foo@", "foo@@bar", "foo@bar@baz"] {
        let list = format!("{key}=1,bar=2");
        assert_eq!(harness.state(&[&list]).await, Some(list));
    }
    assert_eq!(harness.state(&["@foo=1,bar=2"]).await, None);
}

#[tokio::test]
async fn a_key_that_is_none_drops_the_list() {
    let mut harness = Harness::start().await;
    for key in ["foo ", "FOO", "foo.bar", "_foo", "-foo", "", "f\u{f6}o"] {
        assert_eq!(harness.state(&[&format!("a=1,{key}=1,b=2")]).await, None, "{key:?}");
    }
}

#[tokio::test]
async fn a_value_that_is_none_drops_the_list() {
    let mut harness = Harness::start().await;
    for value in ["bar=baz", "", "=1", "b\tc", "f\u{f6}o"] {
        assert_eq!(harness.state(&[&format!("a=1,foo={value},b=2")]).await, None, "{value:?}");
    }
    assert_eq!(harness.state(&["a=1,no-equals-sign"]).await, None);
}

#[tokio::test]
async fn keys_and_values_have_up_to_256_characters() {
    let mut harness = Harness::start().await;
    for (key, value, passes) in [(256, 1, true), (257, 1, false), (1, 256, true), (1, 257, false)] {
        let list = format!("{}={}", "z".repeat(key), "v".repeat(value));
        let expected = passes.then(|| format!("foo=1,{list}"));
        assert_eq!(harness.state(&["foo=1", &list]).await, expected, "{key} {value}");
    }
    for key in [format!("{}@{}", "t".repeat(241), "v".repeat(14)), format!("t@{}", "v".repeat(15))] {
        assert_eq!(harness.state(&[&format!("{key}=1")]).await, Some(format!("{key}=1")));
    }
}

#[tokio::test]
async fn a_list_has_up_to_32_members() {
    let mut harness = Harness::start().await;
    let members = |count: usize| (1..=count).map(|n| format!("bar{n:02}={n}")).collect::<Vec<_>>();
    let max = members(32);
    let (first, rest) = max.split_at(20);
    assert_eq!(harness.state(&[&first.join(","), &rest.join(",")]).await, Some(max.join(",")));
    assert_eq!(harness.state(&[&members(33).join(",")]).await, None);
}

#[tokio::test]
async fn a_key_that_stands_twice_is_passed_on_as_it_came() {
    let mut harness = Harness::start().await;
    assert_eq!(harness.state(&["foo=1,foo=2"]).await.as_deref(), Some("foo=1,foo=2"));
    assert_eq!(harness.state(&["foo=1", "foo=1"]).await.as_deref(), Some("foo=1,foo=1"));
}
