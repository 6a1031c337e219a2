//! Tests of `publish::settings`.

use std::path::PathBuf;

use super::*;
use crate::publish::per_platform::PerPlatform;
use crate::publish::recipe::Notes;

fn read(text: &str) -> Result<ProjectSettings, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn a_password_in_an_address_stays_in_the_settings() {
    let mut settings = ProjectSettings::new("sample".parse().unwrap(), "Sample");
    settings.nodes =
        vec![Node::at("https://deploy:hunter2@updates.example.com/app/".parse().unwrap())];
    assert_eq!(settings.public_nodes()[0].url.as_str(), "https://updates.example.com/app/");
}

#[test]
fn what_init_writes_is_read_as_the_same() {
    let mut settings = ProjectSettings::new("sample".parse().unwrap(), "Sample \"App\" 示例");
    settings.nodes = vec![Node::at("https://updates.example.com/".parse().unwrap())];
    let again = read(&settings.to_toml().unwrap()).unwrap();
    assert_eq!(again, settings);
    settings.recipe = Recipe {
        folder: Some(PathBuf::from("..").into()),
        entry: Some(PerPlatform::Each(
            [
                ("Linux".to_owned(), "module:sample.main:run".parse().unwrap()),
                ("Windows_AMD64".to_owned(), "exe:sample.exe".parse().unwrap()),
            ]
            .into(),
        )),
        icon: Some("../icon.png".into()),
        notes: Some(Notes::Each([("zh-CN".to_owned(), "notes/{version}.md".to_owned())].into())),
        runtime: Some(PerPlatform::Each(
            [("Windows_AMD64".to_owned(), "python.zip".to_owned())].into(),
        )),
        exclude: vec!["tests".to_owned()],
        level: Some(19),
        console: true,
        ..Recipe::default()
    };
    let digest = "0f".repeat(32);
    settings.runtimes = toml::from_str(&format!(
        "Darwin_arm64 = {{ url = \"https://example.com/python.tar.gz\", sha256 = \"{digest}\" }}"
    ))
    .unwrap();
    let text = settings.to_toml().unwrap();
    assert_eq!(read(&text).unwrap(), settings, "{text}");
    assert!(
        text.contains("#requirements = "),
        "what is not known is there to be filled in: {text}"
    );
    assert!(!text.contains("#icon = "), "{text}");
}

#[test]
fn a_pinned_runtime_counts_for_its_platform_and_stands_in_one_place() {
    let pinned = format!(
        "[runtimes]\nWindows_AMD64 = {{ file = \"python.zip\", sha256 = \"{}\" }}\n",
        "0f".repeat(32)
    );
    let settings =
        read(&format!("[app]\nname = \"sample\"\nruntime = \"host\"\n{pinned}")).unwrap();
    let runtime = |platform: &str| {
        let entry = "app.py".parse().unwrap();
        let mut request = BuildRequest::new(
            "app",
            settings.app.clone(),
            crate::model::Version::new(1, 0, 0),
            entry,
        );
        request.platform = platform.parse().unwrap();
        settings.fill(&mut request, Path::new("project")).unwrap();
        request.runtime
    };
    assert_eq!(runtime("Linux_x86_64"), Runtime::Host);
    let Runtime::Pinned(archive) = runtime("Windows_AMD64") else { panic!("it is not pinned") };
    assert!(archive.source.to_string().starts_with("project"), "{}", archive.source);
    let twice = "[app]\nname = \"sample\"\nruntime = { Windows_AMD64 = \"p.zip\" }\n";
    let error = read(&format!("{twice}{pinned}")).unwrap_err();
    assert!(error.contains("the runtime of Windows_AMD64 stands in [runtimes]"), "{error}");
}

#[test]
fn the_older_form_is_read_and_mistakes_are_named() {
    let old = read("app = \"sample\"\ndisplay_name = \"Sample\"\n").unwrap();
    assert_eq!(
        (old.app.as_str(), old.display_name.as_str(), old.channel.as_str()),
        ("sample", "Sample", "stable")
    );
    assert_eq!(read("[app]\nname = \"sample\"\n").unwrap().display_name, "sample");
    for (text, word) in [
        ("[app]\nname = \"sample\"\niconn = \"x.png\"\n", "iconn"),
        ("[app]\nname = \"sample\"\nentry = \"module:\"\n", "entry"),
        ("[app]\nname = \"sample\"\nnotes = 5\n", "expected a path"),
        ("display_name = \"x\"\n[app]\nname = \"sample\"\n", "display_name"),
        ("[app]\ndisplay_name = \"x\"\n", "name"),
        ("app = \"sample\"\nunknown = 1\n", "unknown"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
}
