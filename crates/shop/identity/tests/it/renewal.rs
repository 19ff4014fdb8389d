use crate::authority::{Authority, Folder, names};
use std::time::{Duration, SystemTime};
use waypost_identity::{Identity, Refreshed};

#[test]
fn a_pair_is_renewed_as_a_whole_or_not_at_all() {
    let authority = Authority::new();
    let folder = Folder::new(&authority.issue(&["order"]), authority.pem());
    let identity = Identity::open("order", folder.files(), names()).unwrap();
    let before = identity.standing();
    assert_eq!((identity.refresh(), identity.standing()), (Refreshed::Unchanged, before.clone()));

    let end = SystemTime::now() + Duration::from_hours(72);
    let new = authority.issue_until(&["order"], end);
    folder.put("role.pem", &new.certificate);
    assert_eq!(identity.refresh(), Refreshed::Kept);
    let half = identity.standing();
    assert_eq!(half.not_after, before.not_after, "the old one stays in use");
    let trouble = half.trouble.clone().unwrap();
    assert!(trouble.contains("role.key does not belong to the certificate in "), "{trouble}");
    assert_eq!((identity.refresh(), identity.standing()), (Refreshed::Unchanged, half));

    folder.put("role.key", &new.key);
    assert_eq!(identity.refresh(), Refreshed::Renewed);
    let after = identity.standing();
    assert_eq!(after.trouble, None);
    assert!(after.not_after > before.not_after, "{after:?}");
}

#[test]
fn what_nobody_would_accept_is_not_taken() {
    let authority = Authority::new();
    let folder = Folder::new(&authority.issue(&["order"]), authority.pem());
    let identity = Identity::open("order", folder.files(), names()).unwrap();
    let before = identity.standing().not_after;
    let yesterday = SystemTime::now() - Duration::from_hours(24);
    let bad = [
        (authority.issue_until(&["order"], yesterday), "it ended at "),
        (authority.issue(&["user"]), "names `user`"),
        (Authority::new().issue(&["order"]), "signed by none of the authorities"),
    ];
    for (pair, reason) in bad {
        folder.put("role.pem", &pair.certificate);
        folder.put("role.key", &pair.key);
        assert_eq!(identity.refresh(), Refreshed::Kept);
        let standing = identity.standing();
        assert!(standing.trouble.unwrap().contains(reason));
        assert_eq!(standing.not_after, before);
    }
}

#[test]
fn a_file_that_is_away_for_a_moment_changes_nothing() {
    let authority = Authority::new();
    let folder = Folder::new(&authority.issue(&["order"]), authority.pem());
    let identity = Identity::open("order", folder.files(), names()).unwrap();
    let (file, aside) = (folder.path().join("role.key"), folder.path().join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    assert_eq!(identity.refresh(), Refreshed::Kept);
    assert!(identity.standing().trouble.unwrap().contains("cannot read "));
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!((identity.refresh(), identity.standing().trouble), (Refreshed::Unchanged, None));
}
