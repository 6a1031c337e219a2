//! No package brings the repository's own keys to users, whatever the key's file is called.

use std::collections::BTreeMap;
use std::fs;

use crate::support::release::{World, kuzflow, text};

#[test]
fn a_package_with_a_key_of_the_repository_is_refused_and_other_private_keys_are_not() {
    let world = World::new();
    let (repository, key) = (world.path("publisher"), |role: &str| {
        let keys = fs::read_dir(world.path("publisher/keys")).unwrap().flatten();
        let mut of = keys.filter(|key| key.file_name().to_string_lossy().starts_with(role));
        fs::read(of.next().unwrap().path()).unwrap()
    });
    let foreign = World::new();
    let other = fs::read_dir(foreign.path("publisher/keys")).unwrap().flatten().next().unwrap();
    let files = BTreeMap::from([("secrets/client.pem", fs::read(other.path()).unwrap())]);
    let package = world.build("1.0.0", &files);
    world.publish(&package, &["--no-patches"]);
    for (version, role) in [("1.1.0", "root"), ("1.2.0", "targets"), ("1.3.0", "patches")] {
        let package = world.build(version, &BTreeMap::from([("secrets/id.txt", key(role))]));
        let reply = kuzflow(&["publish", text(&package), "--repo", text(&repository)]);
        assert_eq!(reply.code, 1, "{role}: {}", reply.errors);
        for part in ["app/secrets/id.txt", "a key that signs your releases", "rotate"] {
            assert!(reply.errors.contains(part), "{role}: {part}: {}", reply.errors);
        }
    }
    let listed = kuzflow(&["list", "--repo", text(&repository)]);
    assert!(!listed.result.to_string().contains("1.1.0"), "{}", listed.result);
}
