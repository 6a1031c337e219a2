//! An icon that is an SVG: in installers, and in the release that they bring.

use std::fs;
use std::path::Path;

use super::{Shop, launcher, small_program, tool};
use crate::support::release::text;

/// A letter as a path on a round square.
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\"><style>.b{fill:#27a}</style>\
    <rect class=\"b\" width=\"64\" height=\"64\" rx=\"12\"/><path d=\"M20 14v36h26\" fill=\"none\" stroke=\"#fff\" stroke-width=\"8\"/></svg>";

fn with_icon(shop: &Shop, svg: &str) {
    let settings = shop.world.path("publisher/kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    if !before.contains("icon.svg") {
        fs::write(&settings, before.replacen("[app]\n", "[app]\nicon = \"icon.svg\"\n", 1))
            .unwrap();
    }
    fs::write(shop.world.path("publisher/icon.svg"), svg).unwrap();
}

fn size(png: &Path) -> (u32, u32) {
    image::open(png).unwrap().into_rgba8().dimensions()
}

#[test]
fn menus_have_it_in_every_size_and_as_a_scalable_icon() {
    let shop = Shop::new();
    with_icon(&shop, SVG);
    let deb = shop.installer("deb", small_program(), &[]);
    let place = shop.world.path("unpacked");
    if tool("dpkg-deb", &["--extract", text(&deb), text(&place)]).is_some() {
        let icons = place.join("usr/share/icons/hicolor");
        for side in [16, 48, 256, 512] {
            let png = icons.join(format!("{side}x{side}/apps/sample.png"));
            assert_eq!(size(&png), (side, side));
        }
        let scalable = fs::read_to_string(icons.join("scalable/apps/sample.svg")).unwrap();
        assert!(scalable.contains("<path") && !scalable.contains("<style"), "{scalable}");
    }

    // A .run lets the launcher make the entry, from the icon beside it and then from the release's.
    let run = shop.installer("run", launcher(), &[]);
    let output = shop.as_user("sh", &[text(&run)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let icons = shop.user().join(".local/share/icons/hicolor");
    let scalable = icons.join("scalable/apps/kuzflow-sample.svg");
    let first = fs::read_to_string(&scalable).unwrap();
    assert!(first.contains("#2277aa"), "{first}");
    let app = shop.world.path("app 2.0.0");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("run"), "#!/bin/sh\necho version=2\n").unwrap();
    let icon = shop.world.path("other.svg");
    fs::write(&icon, SVG.replace("#27a", "#a21")).unwrap();
    let options = ["--runtime", "none", "--icon", text(&icon)];
    let package = shop.world.pack("2.0.0", "exe:run", &options);
    shop.world.publish(&package, &["--no-patches"]);
    let program = shop.user().join(".local/bin/sample");
    let update = shop.as_user(&program, &["--headless", "update"]);
    assert!(update.status.success(), "{}", String::from_utf8_lossy(&update.stderr));
    let second = fs::read_to_string(&scalable).unwrap();
    assert!(second.contains("#aa2211"), "the new release's icon: {second}");
    assert_eq!(size(&icons.join("512x512/apps/kuzflow-sample.png")), (512, 512));
    let removed = shop.as_user(shop.user().join(".local/lib/sample/uninstall"), &[]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(!scalable.exists() && !shop.user().join(".local/lib/sample").exists());
}

#[test]
fn an_svg_that_cannot_be_an_icon_is_named_and_one_with_text_is_warned_of() {
    let shop = Shop::new();
    let folder = shop.world.path("publisher");
    let package = |svg: &str| {
        with_icon(&shop, svg);
        let launcher = format!("{}=/bin/true", kuzflow::testing::model::Platform::current());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        command.args(["package", "--repo", text(&folder), "--format", "run"]);
        let output = command.args(["--launcher", &launcher]).output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_done, reported) = package("<svg xmlns=\"http://www.w3.org/2000/svg\"><g></svg>");
    assert!(!is_done && reported.contains("icon.svg is no SVG that can be read"), "{reported}");
    let (is_done, reported) = package(&SVG.replace("</svg>", "<text y=\"60\">A</text></svg>"));
    assert!(is_done && reported.contains("icon.svg contains text, which icons"), "{reported}");
}
