//! The server over a repository that the real publisher wrote.

use kuzflow::testing::server::ServerOptions;

use super::client::get;
use super::running::Server;
use crate::support::published::Publisher;

#[test]
fn what_the_publisher_writes_is_offered_and_downloaded() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let mut options = ServerOptions::new(publisher.project.repository());
    options.limits.look_interval = std::time::Duration::ZERO;
    let server = Server::start(options);
    let update = || {
        get(
            server.address,
            "/api/containers/check_update?platform=Linux_x86_64&current_version=1.0.0",
        )
        .json()
    };
    assert_eq!(update()["update_available"], false);
    publisher.publish("2.0.0");
    let update = update();
    assert_eq!(
        (update["version"].as_str(), update["container_id"].as_str()),
        (Some("2.0.0"), Some("sample_2.0.0_Linux_x86_64"))
    );
    assert!(update["release_notes"].as_str().unwrap().starts_with("# 2.0.0"), "{update}");
    let by_id = get(server.address, "/api/containers/download/sample_2.0.0_Linux_x86_64");
    let by_location = get(server.address, &format!("/{}", update["location"].as_str().unwrap()));
    assert_eq!(
        (by_id.status, by_id.body.len() as u64),
        (200, update["container_size"].as_u64().unwrap())
    );
    assert_eq!(by_id.body, by_location.body);
}
