//! Scenes drawn into pictures.

use std::path::PathBuf;

use image::RgbaImage;
use kuzflow::testing::gui::Language;
use kuzflow::testing::settings::Theme;

use super::Window;
use super::screens::{LEAST, room};
use crate::support::scenes;
use crate::support::windows::{self, Look};

/// Draws scenes into `target/pictures`: a few, or those in `KUZFLOW_PICTURES` (`all`, or names with
/// commas). `KUZFLOW_SCALE` is the scale, `KUZFLOW_APP` the app. `KUZFLOW_SCREEN` is the screen in
/// pixels (`1024x600`) or `least` for the least window, and has a folder of its own.
/// `packaging/screenshots.sh` makes the README's pictures with it, and `packaging/pictures.sh`
/// sheets of all scenes on all screens.
#[test]
fn pictures() {
    let wanted =
        std::env::var("KUZFLOW_PICTURES").unwrap_or_else(|_| "offer,troubled,remove".to_owned());
    let scale = std::env::var("KUZFLOW_SCALE").map_or(1.0, |scale| scale.parse().unwrap());
    let screen = std::env::var("KUZFLOW_SCREEN").ok();
    let room = screen.as_deref().map(|screen| room_of(screen, scale));
    let all = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    let folder = screen.map_or(all.clone(), |screen| all.join(format!("{screen}@{scale}")));
    std::fs::create_dir_all(&folder).unwrap();
    let looks = [
        (Language::Chinese, Theme::Light),
        (Language::English, Theme::Dark),
        (Language::English, Theme::Light),
        (Language::Chinese, Theme::Dark),
    ];
    let named = std::env::var_os("KUZFLOW_PICTURES").is_some();
    for (language, theme) in looks.into_iter().take(if named { looks.len() } else { 2 }) {
        let steps = STEPS.into_iter().map(|(name, ..)| name).chain(["drop"]).map(str::to_owned);
        for scene in scenes::names().into_iter().chain(steps) {
            if wanted == "all" || wanted.split(',').any(|name| name == scene) {
                let picture =
                    picture(&scene, Look { language, theme, scale, app: windows::app() }, room);
                let colours: std::collections::HashSet<_> = picture.pixels().collect();
                assert!(colours.len() > 100, "{scene} is empty");
                picture
                    .save(
                        folder.join(
                            format!("{scene}-{}-{theme:?}.png", language.tag()).to_lowercase(),
                        ),
                    )
                    .unwrap();
            }
        }
    }
}

/// The room for the window on a screen such as `1024x600`, or the `least` room.
fn room_of(screen: &str, scale: f32) -> egui::Vec2 {
    if screen == "least" {
        return LEAST;
    }
    let (width, height) = screen.split_once('x').unwrap();
    room((width.parse().unwrap(), height.parse().unwrap(), scale))
}

/// A label in Chinese and English, and its number among equal ones from the top.
type Click = ((&'static str, &'static str), usize);

const MENU: Click = (("已安装版本", "Installed versions"), 0);

const DETAILS: (&str, &str) = ("详情", "Details");

const END_APP: Click = (("不保存并退出…", "End without saving…"), 0);

/// Pictures after clicks: a name, the first scene, the clicks.
const STEPS: [(&str, &str, &[Click]); 25] = [
    ("offer-details", "offer", &[(DETAILS, 0)]),
    ("incremental-details", "offer-incremental", &[(DETAILS, 0)]),
    ("chain-details", "long-incremental", &[(DETAILS, 0)]),
    ("eight-details", "eight-offered", &[(DETAILS, 0)]),
    ("file-details", "offer-file", &[(DETAILS, 0)]),
    ("error-details", "error-very-long", &[(DETAILS, 0)]),
    ("end-app", "closing-person", &[END_APP]),
    ("incident-plain-details", "incident-plain", &[(DETAILS, 0)]),
    ("versions", "offer", &[MENU]),
    ("remove", "offer", &[MENU, (("移除", "Remove"), 0)]),
    ("details", "failed", &[(DETAILS, 0)]),
    ("versions-every", "versions-all", &[MENU]),
    ("sharing", "sharing", &[MENU]),
    ("channels", "ahead-of-channel", &[MENU]),
    ("back-to-channel", "ahead-of-channel", &[(("现在返回", "Go back now"), 0)]),
    ("login-switch", "login-off-in-system", &[MENU]),
    ("old-shortcuts-switch", "old-shortcuts-replaced", &[MENU]),
    ("switch-to", "versions-all", &[MENU, (("切换到此版本…", "Switch to this…"), 0)]),
    ("go-back-to", "versions-all", &[MENU, (("恢复到此版本…", "Go back to this…"), 0)]),
    ("free-space", "versions-all", &[MENU, (("释放空间…", "Free up space…"), 0)]),
    ("incident-crashed-details", "incident-crashed", &[(DETAILS, 0)]),
    ("incident-reported-details", "incident-reported", &[(DETAILS, 0)]),
    ("incident-not-switched-details", "incident-not-switched", &[(DETAILS, 0)]),
    ("incident-several-details", "incident-several", &[(DETAILS, 0)]),
    ("incident-beside-details", "incident-beside", &[(DETAILS, 0)]),
];

fn picture(scene: &str, look: Look, room: Option<egui::Vec2>) -> RgbaImage {
    let text =
        |(chinese, english)| if look.language == Language::Chinese { chinese } else { english };
    let (start, clicks) = STEPS
        .into_iter()
        .find(|(name, ..)| *name == scene)
        .map_or((scene, &[][..]), |(_, start, clicks)| (start, clicks));
    let start = if scene == "drop" { "offer" } else { start };
    let mut window = Window::open_on(scenes::state(start, look.language), look, room);
    if scene == "drop" {
        window
            .harness
            .input_mut()
            .hovered_files
            .push(egui::HoveredFile { path: Some("/tmp/x".into()), ..Default::default() });
        window.harness.step();
    }
    for (label, place) in clicks {
        window.click_nth(text(*label), *place);
    }
    window.harness.remove_cursor();
    window.settle();
    window.harness.render().unwrap()
}
