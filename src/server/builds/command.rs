//! The arguments of `kuzflow build` for an order. Pure.
//!
//! In: an order, and where its files are for the program that builds. Out: arguments. Never: a value
//! that the program could take for an option; a look at the disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::order::BuildOrder;
use crate::model::RelativePath;

/// Where things are, as the program sees them.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The top of what was sent.
    pub(super) top: PathBuf,
    /// The folder for the package.
    pub(super) out: PathBuf,
    /// The server's runtime for the platform.
    pub(super) runtime: Option<PathBuf>,
    /// The Python of the settings.
    pub(super) python: Option<PathBuf>,
    /// The commit, if the app comes from git.
    pub(super) commit: Option<String>,
}

impl Places {
    /// The app's folder.
    pub(super) fn app(&self, order: &BuildOrder) -> PathBuf {
        order.config.folder.as_ref().map_or_else(|| self.top.clone(), |path| path.under(&self.top))
    }
}

/// The arguments, without the program.
pub(super) fn arguments(order: &BuildOrder, places: &Places) -> Vec<OsString> {
    let config = &order.config;
    let mut all: Vec<OsString> = vec!["build".into()];
    // One argument for each: a value that begins with a dash is a value all the same.
    let mut add = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(value);
        all.push(argument);
    };
    add("app", &places.app(order));
    add("app-version", &order.version.to_string());
    add("platform", &order.platform.to_string());
    add("name", &order.app.to_string());
    add("out", &places.out);
    let sent = |path: &RelativePath| path.under(&places.top);
    match config.runtime.as_deref() {
        Some(plain @ ("host" | "none")) => add("runtime", &plain),
        // A path was checked with the order.
        Some(path) => add("runtime", &places.top.join(path)),
        None => places.runtime.iter().for_each(|runtime| add("runtime", runtime)),
    }
    let texts = [
        ("entry", &config.entry),
        ("display-name", &config.display_name),
        ("description", &config.description),
        ("build-number", &config.build_number),
        ("commit", &places.commit),
    ];
    for (name, text) in texts {
        text.iter().for_each(|text| add(name, text));
    }
    let paths = [
        ("requirements", &config.requirements),
        ("icon", &config.icon),
        ("config-defaults", &config.config_defaults),
        ("migrate", &config.migrate),
        ("after-install", &config.after_install),
        ("before-uninstall", &config.before_uninstall),
    ];
    for (name, path) in paths {
        path.iter().for_each(|path| add(name, &sent(path)));
    }
    places.python.iter().for_each(|python| add("python", python));
    config.data_schema.iter().for_each(|number| add("data-schema", &number.to_string()));
    config.level.iter().for_each(|level| add("level", &level.to_string()));
    let patterns = [
        ("exclude", &config.exclude),
        ("foreign-file", &config.foreign_files),
        ("runtime-exclude", &config.runtime_exclude),
        ("prune", &config.prune),
    ];
    for (name, patterns) in patterns {
        patterns.iter().for_each(|pattern| add(name, pattern));
    }
    let switches = [
        ("--reports-up", config.reports_up),
        ("--tkinter", config.tkinter),
        ("--console", config.console),
        ("--no-bytecode", config.bytecode == Some(false)),
    ];
    all.extend(switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.into()));
    all
}

/// A path below `folder`, as one who sees the folder at `seen` sees it.
pub(super) fn seen_at(path: &Path, folder: &Path, seen: &Path) -> PathBuf {
    path.strip_prefix(folder).map_or_else(|_| path.to_owned(), |inside| seen.join(inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_one_argument() {
        let order: BuildOrder = serde_json::from_value(serde_json::json!({
            "app": "sample", "version": "1.2.0", "platform": "Linux_x86_64", "token": "ci",
            "source": {"archive": {"digest": "0".repeat(64), "length": 1}},
            "config": {
                "folder": "src", "entry": "app.py", "description": "--out=/etc", "icon": "art/icon.png", "runtime": "python",
                "exclude": ["--json", "*.log"], "level": 3, "reports_up": true, "bytecode": false,
            },
        }))
        .unwrap();
        let places = Places {
            top: "/build/source".into(),
            out: "/build/out".into(),
            runtime: Some("/cache/python.tar.gz".into()),
            python: None,
            commit: None,
        };
        let all = arguments(&order, &places);
        let all: Vec<String> = all.into_iter().map(|it| it.into_string().unwrap()).collect();
        assert_eq!(all[0], "build");
        let expected = [
            "--description=--out=/etc",
            "--exclude=--json",
            "--exclude=*.log",
            "--level=3",
            "--reports-up",
            "--no-bytecode",
        ];
        for argument in expected {
            assert!(all.iter().any(|it| it == argument), "{argument}: {all:?}");
        }
        if cfg!(unix) {
            for argument in [
                "--app=/build/source/src",
                "--icon=/build/source/art/icon.png",
                "--runtime=/build/source/python",
            ] {
                assert!(all.iter().any(|it| it == argument), "{argument}: {all:?}");
            }
        }
        assert!(all[1..].iter().all(|it| it.starts_with("--")), "{all:?}");
    }

    #[test]
    fn a_path_is_the_same_place_inside() {
        let (folder, seen) = (Path::new("/data/7/1"), Path::new("/build"));
        let inside = seen_at(Path::new("/data/7/1/source/app"), folder, seen);
        assert_eq!(inside, Path::new("/build/source/app"));
        assert_eq!(seen_at(Path::new("/opt/x"), folder, seen), Path::new("/opt/x"));
    }
}
