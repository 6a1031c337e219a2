//! `--with-release`: the first start installs the release inside, without a network; what cannot be
//! used is passed over for what the nodes have.

use std::fs;

use super::{Shop, launcher};
use crate::support::release::text;

const BUNDLE: &str = "release.kuzflow-bundle";

#[test]
fn the_first_start_needs_no_network_and_a_useless_bundle_no_person() {
    let mut shop = Shop::new();
    let run = shop.installer("run", launcher(), &["--with-release"]);
    let place = shop.user().join("place");
    let extracted = shop.as_user("sh", &[text(&run), "--extract", text(&place)]);
    assert!(extracted.status.success(), "{}", String::from_utf8_lossy(&extracted.stderr));
    assert!(place.join(BUNDLE).is_file());

    // Nobody asks a question, and nobody is asked: the node has newer ones and is not there.
    shop.world.release("1.1.0", 4400);
    let address = shop.node.address.clone();
    let _ = std::mem::replace(&mut shop.node, shop.world.serve());
    assert!(shop.start(place.join("sample")).contains("version=1.0.0"));

    // Then the newest from the network, also on a computer where the bundle is damaged.
    shop.node = shop.world.serve_at(&address, &[]);
    let update = shop.as_user(place.join("sample"), &["--headless", "update"]);
    assert!(update.status.success(), "{}", String::from_utf8_lossy(&update.stderr));
    assert!(shop.start(place.join("sample")).contains("version=1.1.0"));
    fs::remove_dir_all(shop.user().join(".local")).unwrap();
    fs::write(place.join(BUNDLE), "no bundle").unwrap();
    assert!(shop.start(place.join("sample")).contains("version=1.1.0"));
}
