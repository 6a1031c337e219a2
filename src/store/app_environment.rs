//! Makes the environment of the app's process: the user's session, without the variables that are
//! meant for another runtime, and with the variables of the app's manifest.
//!
//! ```text
//! the session    as the user has it: changes by another container's launcher are undone first
//! without        variables for another Python or Qt are not passed on
//! manifest       variables, folders in lists
//! ```
//!
//! `KUZFLOW_CHANGED` names the changed variables (names, separated by blanks), and
//! `KUZFLOW_ORIGINAL_…` holds their earlier values: for apps that start programs of the system, and
//! for another launcher that an app starts. Containers of older builders configured their Python
//! with variables; the launcher starts them with options, like new ones.
//!
//! In: a launch, and the values of the session's variables. Out: the arguments and variables of a
//! command. Never: starts a process, reads the environment itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use crate::model::session::CHANGED;
use crate::model::{Launch, session};

/// Returns the value of an environment variable.
pub(crate) type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Placeholder for the container's absolute path in arguments and variables.
const CONTAINER: &str = "{container}";
/// Prefix of the variable that holds another variable's earlier value.
const ORIGINAL: &str = "KUZFLOW_ORIGINAL_";
/// Variables that a launcher sets for its own app only.
const OWN: &[&str] = &[
    "KUZFLOW_HOME",
    "KUZFLOW_VERSION",
    "KUZFLOW_HEALTH",
    "KUZFLOW_CHANNEL",
    "KUZFLOW_TOKEN",
    "KUZFLOW_CALLER_FOLDER",
    "KUZFLOW_FIRST_RUN",
    CHANGED,
];

/// The arguments and variables of a container's process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// Arguments before the user's own.
    pub arguments: Vec<OsString>,
    /// Variables that the process does not inherit.
    pub removed: BTreeSet<OsString>,
    /// Variables that the launcher sets.
    pub set: BTreeMap<OsString, OsString>,
}

/// Which process gets the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The app, which starts other programs.
    App,
    /// A script of the release, which works with the container's programs only.
    Script,
}

impl Surroundings {
    /// The environment of `launch`, whose container lies in `folder`.
    pub(super) fn of(launch: &Launch, folder: &Path, purpose: Purpose, variable: Variable) -> Self {
        let launch = match purpose {
            Purpose::App => by_options(launch),
            Purpose::Script => launch.clone(),
        };
        let mut around = Self {
            arguments: launch.arguments.iter().map(|text| expand(text, folder)).collect(),
            ..Self::default()
        };
        let session = Session::new(variable);
        around.take_back(&session);
        let mut changed = BTreeSet::new();
        let without = without(&launch);
        for name in &without {
            if session.get(name).is_some() {
                changed.insert((*name).to_owned());
            }
            around.removed.insert((*name).into());
            around.set.remove(&OsString::from(*name));
        }
        for (name, value) in &launch.environment {
            around.give(name, expand(value, folder));
            if !OWN.contains(&name.as_str()) {
                changed.insert(name.clone());
            }
        }
        let lists = launch.prepend.keys().chain(launch.append.keys()).collect::<BTreeSet<_>>();
        for name in lists {
            let listed = |list: &BTreeMap<String, Vec<_>>| -> Vec<_> {
                list.get(name)
                    .into_iter()
                    .flatten()
                    .map(|entry: &crate::model::RelativePath| entry.under(folder))
                    .collect()
            };
            let (mut before, mut after) = (listed(&launch.prepend), listed(&launch.append));
            if purpose == Purpose::Script {
                before.append(&mut after);
            }
            let now =
                session.get(name).filter(|_| !without.contains(&name.as_str())).unwrap_or_default();
            let now = std::env::split_paths(&now).filter(|path| !path.as_os_str().is_empty());
            let all = before.into_iter().chain(now).chain(after);
            // A folder whose name holds the separator cannot be in a list; the app then misses that
            // folder only.
            if let Ok(joined) = std::env::join_paths(all) {
                around.give(name, joined);
                changed.insert(name.clone());
            }
        }
        around.note(&changed, &session);
        around.give("KUZFLOW_HOME", folder.into());
        around
    }

    fn give(&mut self, name: &str, value: OsString) {
        self.removed.remove(&OsString::from(name));
        self.set.insert(name.into(), value);
    }

    /// Undoes the changes that another container's launcher made, and removes the variables that it
    /// set for its own app.
    fn take_back(&mut self, session: &Session) {
        self.removed.extend(OWN.iter().map(OsString::from));
        for name in &session.changed {
            self.removed.insert(format!("{ORIGINAL}{name}").into());
            match session.get(name) {
                Some(value) => self.give(name, value),
                None => drop(self.removed.insert(name.into())),
            }
        }
    }

    fn note(&mut self, changed: &BTreeSet<String>, session: &Session) {
        for name in changed {
            if let Some(value) = session.get(name) {
                self.give(&format!("{ORIGINAL}{name}"), value);
            }
        }
        if !changed.is_empty() {
            let names: Vec<_> = changed.iter().map(String::as_str).collect();
            self.give(CHANGED, names.join(" ").into());
        }
        // Unchanged, since programs of the system may need it; the container's Python ignores it.
        if let Some(path) = session.get("PYTHONPATH") {
            self.give(&format!("{ORIGINAL}PYTHONPATH"), path);
        }
    }
}

/// The session as its user has it.
struct Session<'a> {
    variable: Variable<'a>,
    /// Names of the variables that another container's launcher changed.
    changed: Vec<String>,
}

impl<'a> Session<'a> {
    fn new(variable: Variable<'a>) -> Self {
        let changed =
            variable(CHANGED).and_then(|names| names.into_string().ok()).unwrap_or_default();
        Self {
            variable,
            changed: changed
                .split(' ')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    fn get(&self, name: &str) -> Option<OsString> {
        if self.changed.iter().any(|changed| changed == name) {
            return (self.variable)(&format!("{ORIGINAL}{name}"));
        }
        (self.variable)(name)
    }
}

/// Variables of the session that the app must not see.
fn without(launch: &Launch) -> BTreeSet<&str> {
    let mut without: BTreeSet<&str> = launch.without.iter().map(String::as_str).collect();
    // Older builders list no such variables; what they set shows which runtime they bring.
    if launch.environment.contains_key("QT_PLUGIN_PATH") {
        without.extend(session::QT);
    }
    if launch.environment.contains_key("PYTHONNOUSERSITE")
        || launch.environment.contains_key("PYTHONHOME")
    {
        without.extend([session::PYTHON_PLACES, session::PYTHON_VARIABLES, session::TCL].concat());
    }
    without
}

/// Rewrites a launch of an older builder as a new builder would write it: options configure its
/// Python in place of variables, which every program that the app starts would see as well. A
/// launch that needs the variables stays as it is.
fn by_options(launch: &Launch) -> Launch {
    let variables = &launch.environment;
    let is_python = launch.program.as_str().starts_with("runtime/")
        && launch.program.file_name().starts_with("python");
    let is_old = is_python
        && variables.contains_key("PYTHONNOUSERSITE")
        && !variables.contains_key("PYTHONHOME");
    let Some(entry) = is_old.then(|| entry_of(&launch.arguments)).flatten() else {
        return launch.clone();
    };
    let mut launch = launch.clone();
    let mut arguments = vec!["-E".to_owned(), "-s".to_owned()];
    if launch.environment.contains_key("PYTHONDONTWRITEBYTECODE") {
        arguments.push("-B".to_owned());
    }
    if let Some(folder) = launch.environment.get("PYTHONPYCACHEPREFIX") {
        arguments.extend(["-X".to_owned(), format!("pycache_prefix={folder}")]);
    }
    arguments.extend(entry);
    launch.arguments = arguments;
    launch
        .without
        .extend([session::PYTHON_PLACES, session::TCL].concat().into_iter().map(str::to_owned));
    if launch.environment.remove("QT_PLUGIN_PATH").is_some() {
        // The wheels of Qt find their plugins by themselves.
        launch.without.extend(session::QT.iter().map(|name| (*name).to_owned()));
    }
    launch.environment.retain(|name, _| !name.starts_with("PYTHON"));
    launch.prepend.remove("PYTHONPATH");
    if let Some(programs) = launch.prepend.remove("PATH") {
        launch.append.insert("PATH".to_owned(), programs);
    }
    launch
}

/// The arguments of an older launch, if Python finds its modules without a variable. A script finds
/// those beside it; a module finds those in the working folder, which is the app's.
fn entry_of(arguments: &[String]) -> Option<Vec<String>> {
    match arguments {
        [option, code, rest @ ..] if option == "-c" => {
            let code = format!("import os, sys; sys.path[0] = os.getcwd(); {code}");
            Some([option.clone(), code].into_iter().chain(rest.iter().cloned()).collect())
        }
        [option, ..] if option == "-m" => Some(arguments.to_vec()),
        [script, ..]
            if script
                .strip_prefix(CONTAINER)?
                .strip_prefix("/app/")
                .is_some_and(|path| !path.contains('/')) =>
        {
            Some(arguments.to_vec())
        }
        _ => None,
    }
}

/// Replaces `{container}` by the container's path, which need not be Unicode.
fn expand(text: &str, folder: &Path) -> OsString {
    let mut result = OsString::new();
    for (index, part) in text.split(CONTAINER).enumerate() {
        if index > 0 {
            result.push(folder);
        }
        result.push(part);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn launch(program: &str, arguments: &[&str]) -> Launch {
        Launch {
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            ..Launch::plain(program.parse().unwrap(), "app".parse().unwrap())
        }
    }

    /// The launch that older builders wrote for an app with PyQt5.
    fn old(arguments: &[&str]) -> Launch {
        let variables = [
            ("PYTHONNOUSERSITE", "1"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("QT_PLUGIN_PATH", "{container}/runtime/plugins"),
            ("KUZFLOW_HOME", "{container}"),
        ];
        Launch {
            environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            prepend: [
                ("PATH".to_owned(), vec!["runtime/bin".parse().unwrap()]),
                ("PYTHONPATH".to_owned(), vec!["app".parse().unwrap()]),
            ]
            .into(),
            ..launch("runtime/bin/python3.11", arguments)
        }
    }

    fn around(launch: &Launch, purpose: Purpose, session: &[(&str, &str)]) -> Surroundings {
        let session: BTreeMap<_, _> = session
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
            .collect();
        Surroundings::of(launch, Path::new("/c"), purpose, &|name| session.get(name).cloned())
    }

    fn value(around: &Surroundings, name: &str) -> Option<String> {
        around.set.get(&OsString::from(name)).map(|value| value.to_str().unwrap().to_owned())
    }

    /// The folders that a variable names. Windows writes and separates them in its own way.
    fn folders(around: &Surroundings, name: &str) -> Vec<PathBuf> {
        std::env::split_paths(&value(around, name).unwrap_or_default()).collect()
    }

    /// The value of a variable that names these folders.
    fn joined(folders: &[&str]) -> String {
        std::env::join_paths(folders).unwrap().into_string().unwrap()
    }

    #[test]
    fn an_older_container_is_isolated_both_ways() {
        let programs = joined(&["/bin", "/usr/bin"]);
        let session = [
            ("PYTHONHOME", "/other"),
            ("PYTHONPATH", "/ros"),
            ("QT_PLUGIN_PATH", "/kde"),
            ("PATH", programs.as_str()),
            ("HOME", "/u"),
        ];
        let around = around(&old(&["{container}/app/app.py", "-x"]), Purpose::App, &session);
        assert_eq!(around.arguments, ["-E", "-s", "-B", "/c/app/app.py", "-x"]);
        for name in ["PYTHONHOME", "PYTHONPLATLIBDIR", "QT_PLUGIN_PATH", "QML2_IMPORT_PATH"] {
            assert!(
                around.removed.contains(&OsString::from(name)) && value(&around, name).is_none(),
                "{name}"
            );
        }
        // The launch does not mention the variables that others may need, so the app inherits them
        // as the user has them.
        for name in ["PYTHONPATH", "HOME"] {
            assert!(
                !around.removed.contains(&OsString::from(name)) && value(&around, name).is_none(),
                "{name}"
            );
        }
        let expected = ["/bin", "/usr/bin", "/c/runtime/bin"].map(PathBuf::from);
        assert_eq!(folders(&around, "PATH"), expected);
        assert_eq!(
            value(&around, "KUZFLOW_CHANGED").as_deref(),
            Some("PATH PYTHONHOME QT_PLUGIN_PATH")
        );
        assert_eq!(value(&around, "KUZFLOW_ORIGINAL_PYTHONHOME").as_deref(), Some("/other"));
        assert_eq!(value(&around, "KUZFLOW_HOME").as_deref(), Some("/c"));
    }

    #[test]
    fn modules_and_functions_find_the_app_and_what_cannot_do_without_variables_keeps_them() {
        let arguments = |entry: &[&str]| around(&old(entry), Purpose::App, &[]).arguments;
        assert_eq!(arguments(&["-m", "pkg"]), ["-E", "-s", "-B", "-m", "pkg"]);
        let code = "import sys; from a import b; sys.exit(b())";
        assert_eq!(
            arguments(&["-c", code])[4],
            *format!("import os, sys; sys.path[0] = os.getcwd(); {code}")
        );
        // A script in a subfolder imports from the app's top.
        let deep = around(
            &old(&["{container}/app/src/a.py"]),
            Purpose::App,
            &[("PYTHONPATH", "/ros"), ("PYTHONHOME", "/x")],
        );
        assert_eq!(deep.arguments, ["/c/app/src/a.py"]);
        let app = [PathBuf::from("/c/app")];
        assert_eq!(folders(&deep, "PYTHONPATH"), app, "the session's is not behind it");
        assert!(deep.removed.contains(&OsString::from("PYTHONHOME")));
        let mut with_home = old(&["{container}/app/a.py"]);
        with_home.environment.insert("PYTHONHOME".to_owned(), "{container}/runtime".to_owned());
        let with_home =
            around(&with_home, Purpose::App, &[("PYTHONHOME", "/x"), ("PYTHONWARNINGS", "error")]);
        assert_eq!(value(&with_home, "PYTHONHOME").as_deref(), Some("/c/runtime"));
        assert!(with_home.removed.contains(&OsString::from("PYTHONWARNINGS")));
        // A migration belongs to the release: it finds the container's programs first.
        let script = around(&old(&["{container}/app/a.py"]), Purpose::Script, &[("PATH", "/bin")]);
        assert_eq!(folders(&script, "PATH"), ["/c/runtime/bin", "/bin"].map(PathBuf::from));
        assert_eq!(folders(&script, "PYTHONPATH"), app);
    }

    #[test]
    fn a_program_without_a_runtime_keeps_the_session() {
        let around = around(
            &launch("app/run", &["{container}/x"]),
            Purpose::App,
            &[("PYTHONHOME", "/x"), ("QT_PLUGIN_PATH", "/y")],
        );
        assert_eq!(around.arguments, ["/c/x"]);
        assert_eq!(around.set.keys().collect::<Vec<_>>(), ["KUZFLOW_HOME"]);
        assert!(
            around.removed.iter().all(|name| name.to_str().unwrap().starts_with("KUZFLOW_")),
            "{:?}",
            around.removed
        );
    }

    #[test]
    fn an_app_that_opens_another_one_hands_nothing_of_its_own_on() {
        let session = [
            ("KUZFLOW_CHANGED", "LD_LIBRARY_PATH PATH PYTHONHOME"),
            ("KUZFLOW_ORIGINAL_PATH", "/bin"),
            ("KUZFLOW_ORIGINAL_PYTHONHOME", "/mine"),
            ("PATH", "/a/runtime/bin:/bin"),
            ("LD_LIBRARY_PATH", "/a/runtime/lib"),
            ("KUZFLOW_CHANNEL", "/a/socket"),
            ("KUZFLOW_TOKEN", "secret"),
        ];
        let around = around(&launch("app/run", &[]), Purpose::App, &session);
        assert_eq!(value(&around, "PATH").as_deref(), Some("/bin"));
        assert_eq!(
            value(&around, "PYTHONHOME").as_deref(),
            Some("/mine"),
            "this app may want the user's own"
        );
        for name in [
            "LD_LIBRARY_PATH",
            "KUZFLOW_CHANNEL",
            "KUZFLOW_TOKEN",
            "KUZFLOW_CHANGED",
            "KUZFLOW_ORIGINAL_PATH",
        ] {
            assert!(
                around.removed.contains(&OsString::from(name)) && value(&around, name).is_none(),
                "{name}"
            );
        }
    }
}
