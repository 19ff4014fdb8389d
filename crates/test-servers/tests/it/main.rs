//! A place of one's own, on real servers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use sqlx::{Connection as _, PgConnection};
use waypost_test_servers::{
    postgres::Database,
    redis::{Keys, Server},
};

async fn databases_named(server: &str, name: &str) -> i64 {
    let mut connection = PgConnection::connect(server).await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1").bind(name);
    count.fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_database_is_empty_and_goes_with_its_test() {
    let database = Database::create();
    let (server, name) = (database.server_url().to_owned(), database.name().to_owned());
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(tables, 0);
    assert_eq!(databases_named(&server, &name).await, 1);
    // Also while somebody is connected to it.
    drop(database);
    assert_eq!(databases_named(&server, &name).await, 0);
}

#[test]
fn tests_side_by_side_do_not_meet() {
    let names: Vec<String> = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(|| Database::create().name().to_owned()));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), 4, "{names:?}");
    assert_ne!(Keys::own().prefix(), Keys::own().prefix());
}

#[test]
fn a_redis_of_ones_own_is_killed_and_comes_back_empty() {
    let mut server = Server::start_with(&["--maxmemory", "3mb"]);
    assert_eq!(server.command(&["SET", "a", "1"]), "+OK");
    server.pause();
    server.go_on();
    assert_eq!(server.command(&["EXISTS", "a"]), ":1");
    server.restart();
    assert_eq!(server.command(&["EXISTS", "a"]), ":0");
    let port = server.port();
    drop(server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
