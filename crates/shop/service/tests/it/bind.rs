//! Binding, and what is said when it fails.

use std::net::SocketAddr;
use waypost_service::{DataDir, bind};

#[tokio::test]
async fn a_taken_port_is_named_with_its_holder_and_the_setting_that_moves_it() {
    let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let error = bind(first.address()).unwrap_err().with_setting("--gateway-listen");
    let message = error.to_string();
    assert!(error.is_taken());
    assert!(
        message.starts_with(&format!("port {} of 127.0.0.1 is taken", first.address().port())),
        "{message}"
    );
    assert!(message.ends_with("; move it with --gateway-listen"), "{message}");
    if cfg!(target_os = "linux") {
        assert!(message.contains(&format!("process {} (", std::process::id())), "{message}");
    }
}

#[tokio::test]
async fn an_address_of_another_machine_is_refused_with_words() {
    let error = bind("203.0.113.7:80".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("203.0.113.7"), "{error}");
    assert!(!error.is_taken());
}

#[tokio::test]
async fn the_url_of_a_listener_on_all_addresses_can_be_called_from_here() {
    let listener = bind("0.0.0.0:0".parse().unwrap()).unwrap();
    assert_eq!(listener.url(), format!("http://127.0.0.1:{}", listener.address().port()));
}

#[test]
fn a_data_folder_is_made_and_a_useless_one_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("waypost-data");
    let data = DataDir::Folder(folder.clone());
    data.prepare().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);

    let file = temporary.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = DataDir::Folder(file.clone()).prepare().unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}
