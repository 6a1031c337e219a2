//! A repository made for tests.

use std::path::Path;
use std::time::Duration;

use kuzflow::testing::model::Digest;
use kuzflow::testing::server::{ServerLimits, ServerOptions};
use serde_json::{Value, json};

/// A repository with metadata as the publisher writes it, but unsigned: the server does not check
/// signatures.
pub struct Repository {
    folder: tempfile::TempDir,
    targets: serde_json::Map<String, Value>,
    patches: serde_json::Map<String, Value>,
    version: u64,
    pub patches_expire: &'static str,
}

impl Repository {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["metadata", "targets"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        Self {
            folder,
            targets: serde_json::Map::new(),
            patches: serde_json::Map::new(),
            version: 0,
            patches_expire: "2999-01-01T00:00:00Z",
        }
    }

    /// Two releases for Linux, one beta, notes in two languages, three nodes.
    pub fn sample() -> Self {
        let mut repository = Self::new();
        let chinese = repository.target("sample-2.0.0.zh-CN.md", "# 新\n".as_bytes(), json!({}));
        let english = repository.target("sample-2.0.0.en.md", b"# New\n", json!({}));
        repository.release("sample_1.0.0_Linux_x86_64", b"old", json!({}));
        let notes = json!({ "notes": { "zh-CN": chinese, "en": english }, "mandatory": true });
        repository.release("sample_2.0.0_Linux_x86_64", &package(), notes);
        repository.release(
            "sample_3.0.0-beta.1_Linux_x86_64",
            b"beta",
            json!({ "channel": "beta" }),
        );
        repository.nodes(&json!([
            { "id": "eu", "name": "Frankfurt", "region": "Europe", "url": "http://127.0.0.1:1/eu/", "bandwidth": 800 },
            { "id": "ap", "name": "上海", "region": "Asia-Pacific", "url": "http://127.0.0.1:1/ap/", "bandwidth": 400 },
            { "id": "us", "region": "Americas", "url": "http://127.0.0.1:1/us/" },
            { "id": "cdn", "region": "Global", "url": "http://127.0.0.1:1/cdn/", "bandwidth": 100 },
        ]));
        repository.publish();
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn options(&self) -> ServerOptions {
        let limits = ServerLimits { look_interval: Duration::ZERO, ..ServerLimits::default() };
        let (node, region) = ("上海-1".to_owned(), "Asia-Pacific".to_owned());
        ServerOptions {
            node,
            region,
            health_interval: None,
            limits,
            ..ServerOptions::new(self.path())
        }
    }

    pub fn target(&mut self, name: &str, bytes: &[u8], custom: Value) -> String {
        let digest = Digest::of(bytes);
        std::fs::write(self.path().join(format!("targets/{digest}.{name}")), bytes).unwrap();
        let target =
            json!({ "length": bytes.len(), "hashes": { "sha256": digest }, "custom": custom });
        self.targets.insert(name.to_owned(), target);
        name.to_owned()
    }

    pub fn release(&mut self, id: &str, bytes: &[u8], changes: Value) {
        let mut release = json!({
            "container": id, "display_name": "Sample", "channel": "stable", "published": "2026-11-22T00:00:00Z",
            "manifest": { "offset": 0, "packed_size": 1, "size": 1, "hash": Digest::of(b"") },
            "index": { "offset": 0, "packed_size": 1, "size": 1, "hash": Digest::of(b"") },
            "unpacked_size": 1, "file_count": 1,
        });
        release.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.target(&format!("{id}.kuzflow"), bytes, json!({ "release": release }));
    }

    /// A pack between two releases, for example `sample_1.0.0_Linux_x86_64` and `2.0.0`.
    pub fn pack(&mut self, from: &str, to: &str, bytes: &[u8], changes: Value) {
        let [app, version, platform] = from.splitn(3, '_').collect::<Vec<_>>().try_into().unwrap();
        let mut patch = json!({
            "from": from, "to": format!("{app}_{to}_{platform}"), "base_manifest": Digest::of(b""),
            "target_manifest": Digest::of(b""), "cloned": 1, "patched": 1, "added": 0, "removed": 0, "written": 10,
            "memory": 64, "created": "2026-11-22T00:00:00Z", "requires_restart": true, "hot_swappable": 0,
        });
        patch.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let name = self.target(
            &format!("{app}_{to}_{platform}.from-{version}.kuzpatch"),
            bytes,
            json!({ "patch": patch }),
        );
        let target = self.targets.remove(&name).unwrap();
        self.patches.insert(name, target);
    }

    pub fn forget_packs(&mut self) {
        self.patches.clear();
    }

    pub fn nodes(&self, nodes: &Value) {
        std::fs::write(self.path().join("nodes.json"), nodes.to_string()).unwrap();
    }

    pub fn publish(&mut self) {
        self.version += 1;
        let write = |name: String, signed: Value| {
            let path = self.path().join("metadata").join(name);
            std::fs::write(path, json!({ "signed": signed, "signatures": [] }).to_string())
                .unwrap();
        };
        let version = self.version;
        let expires = "2999-01-01T00:00:00Z";
        write(format!("{version}.root.json"), json!({ "version": version, "expires": expires }));
        write(
            format!("{version}.targets.json"),
            json!({ "version": version, "expires": expires, "targets": self.targets }),
        );
        let meta = json!({ "targets.json": { "version": version }, "patches.json": { "version": version } });
        let list =
            json!({ "version": version, "expires": self.patches_expire, "targets": self.patches });
        write(format!("{version}.patches.json"), list);
        write(
            format!("{version}.snapshot.json"),
            json!({ "version": version, "expires": expires, "meta": meta }),
        );
        let meta = json!({ "snapshot.json": { "version": version } });
        write(
            "timestamp.json".to_owned(),
            json!({ "version": version, "expires": expires, "meta": meta }),
        );
    }
}

/// A package of 1,000,000 bytes; each byte follows from its position.
pub fn package() -> Vec<u8> {
    (0..250_000_u32).flat_map(u32::to_be_bytes).collect()
}

pub fn package_path() -> String {
    format!("/targets/{}.sample_2.0.0_Linux_x86_64.kuzflow", Digest::of(&package()))
}
