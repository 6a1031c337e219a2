//! Tests of `publish::pack_making`.

use super::*;

fn source(version: &str, channel: &str, platform: &str) -> ContainerSource {
    ContainerSource {
        container: format!("sample_{version}_{platform}").parse().unwrap(),
        channel: channel.to_owned(),
        path: PathBuf::new(),
        length: 1,
        manifest: Digest::of(version.as_bytes()),
    }
}

#[test]
fn packs_start_from_the_newest_older_releases_of_the_same_kind() {
    let linux = "Linux_x86_64";
    let published = [
        source("1.0.0", "stable", linux),
        source("1.1.0", "stable", linux),
        source("1.2.0", "beta", linux),
        source("1.3.0", "stable", "Windows_AMD64"),
        source("1.4.0", "stable", linux),
        source("2.0.0", "stable", linux),
        source("3.0.0", "stable", linux),
    ];
    let to = &published[5];
    let versions = |latest| {
        let found = earlier(&published, to, latest);
        found.into_iter().map(|source| source.container.version.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(versions(2), ["1.4.0", "1.1.0"]);
    assert_eq!(versions(10), ["1.4.0", "1.1.0", "1.0.0"]);
    assert!(versions(0).is_empty());
}
