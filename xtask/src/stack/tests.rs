use std::fs;
use std::path::Path;

use super::place::Place;
use super::*;

#[test]
fn a_checkout_has_one_place_and_another_checkout_another() {
    let parent = tempfile::tempdir().unwrap();
    let place = |checkout: &str| Place::within(parent.path(), Path::new(checkout)).unwrap();
    assert_eq!(place("/a").folder(), place("/a").folder());
    assert_ne!(place("/a").folder(), place("/b").folder());
    assert!(!place("/a").folder().exists());
}

#[test]
fn a_stack_that_is_down_answers_nothing_also_when_its_socket_is_left() {
    let parent = tempfile::tempdir().unwrap();
    let place = Place::within(parent.path(), Path::new("/a")).unwrap();
    assert_eq!(keeper::ask(&place, keeper::STATUS).unwrap(), None);
    place.make().unwrap();
    // As a keeper leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(place.socket()).unwrap());
    assert_eq!(keeper::ask(&place, keeper::STATUS).unwrap(), None);
    place.clear().unwrap();
    assert!(!place.folder().exists());
}

#[test]
fn one_keeper_at_a_time_holds_the_lock() {
    let parent = tempfile::tempdir().unwrap();
    let place = Place::within(parent.path(), Path::new("/a")).unwrap();
    place.make().unwrap();
    let held = place.lock().unwrap();
    assert!(held.is_some() && place.lock().unwrap().is_none());
    assert_eq!(place.clear().unwrap_err().to_string(), "the stack is up again");
    drop(held);
    place.clear().unwrap();
}

#[test]
fn a_folder_that_is_something_else_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = Place::within(parent.path(), Path::new("/a")).unwrap().folder().to_owned();
    fs::write(&folder, "").unwrap();
    let refused = Place::within(parent.path(), Path::new("/a")).unwrap_err();
    assert_eq!(refused.to_string(), format!("{} is not this user's folder; remove it", folder.display()));
}
