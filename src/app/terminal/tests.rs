//! Tests of `app::terminal`.

use super::*;
use crate::gui::Language;
use crate::model::plan::{FileCounts, Reason};
use crate::model::{SignedPatch, Version};
use serde_json::json;

fn pack(from: &str, to: &str, length: u64) -> SignedPatch {
    let hash = crate::model::Digest::of(b"");
    let patch = json!({
        "from": format!("sample_{from}_Linux_x86_64"), "to": format!("sample_{to}_Linux_x86_64"),
        "base_manifest": hash, "target_manifest": hash, "cloned": 1521, "patched": 9, "added": 2, "removed": 0, "written": 1,
        "memory": 1, "created": "2026-01-01T00:00:00Z", "requires_restart": true, "hot_swappable": 0,
    });
    SignedPatch {
        target: String::new(),
        length,
        hash,
        patch: serde_json::from_value(patch).unwrap(),
    }
}

#[test]
fn a_plan_is_reported_fact_by_fact() {
    let plan = Plan {
        strategy: UpdateStrategy::Patches,
        bytes: 5_432,
        from: Some(Version::new(1, 8, 4)),
        patches: vec![pack("1.8.4", "1.8.5", 4_620), pack("1.8.5", "1.8.6", 812)],
        files: FileCounts { cloned: 1521, patched: 9, fetched: 2 },
        ..Plan::full(82_617_013, 1532, Reason::Cheapest)
    };
    assert_eq!(
        plan_lines(&plan, &Texts::new(Language::English)),
        [
            "Incremental update • 5.4 KB (full package 82.6 MB)",
            "Download size: 5.4 KB, 99.9% less than the full package",
            "Method: 2 patches in a row, starting from 1.8.4",
            "  1.8.4 → 1.8.5  4.6 KB",
            "  1.8.5 → 1.8.6  812 B",
            "1,532 files: 1,521 reused, 9 patched, 2 downloaded",
            "Afterwards: restart needed",
        ]
    );
    let chinese = plan_lines(
        &Plan::full(82_617_013, 1532, Reason::SwitchedOff),
        &Texts::new(Language::Chinese),
    );
    assert_eq!(
        chinese,
        [
            "全量更新 • 82.6 MB",
            "下载大小：82.6 MB",
            "更新方式：全量更新",
            "原因：增量更新已关闭",
            "共 1,532 个文件：下载 1,532",
            "更新之后：需要重启应用",
        ]
    );
}

#[test]
fn node_bars_give_way_to_the_files() {
    let output = Output::new(true, Texts::new(Language::English));
    let mut bars = Bars::default();
    let progress = Progress {
        done: 1,
        total: 2,
        files_done: 3,
        files_total: 9,
        fallen_back: 1,
        ..Progress::default()
    };
    bars.show(&progress, &output);
    assert_eq!(bars.total.as_ref().and_then(ProgressBar::length), Some(2));
    let version = Version::new(1, 0, 0);
    bars.enter(&Phase::Installing { version: version.clone() }, &output);
    assert!(bars.total.is_none() && bars.nodes.is_empty());
    bars.show(&progress, &output);
    let bar = bars.total.clone().unwrap();
    assert_eq!(
        (bar.length(), bar.position(), bar.message()),
        (Some(9), 3, "File 4 of 9".to_owned())
    );
    bars.enter(&Phase::Ready { version, running: false }, &output);
    assert_eq!(bars.fallen_back, 0);
}
