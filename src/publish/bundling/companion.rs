//! Adds two Python modules to a container. With `kuzflow_runtime` the app reports that it is up,
//! receives updates and takes them over while it runs. `kuzflow_container` restricts that Python to
//! what the container brings.
//!
//! In: a laid-out tree with a Python. Out: both modules beside that Python's other packages. Never:
//! replaces a package that the app brings itself.

use std::fs;
use std::path::Path;

use super::BuildError;
use super::detect::Python;
use crate::file_error::FileResult as _;

/// The package's name, as the app imports it.
const NAME: &str = "kuzflow_runtime";
const FILES: &[(&str, &str)] = &[
    ("__init__.py", include_str!("../../../assets/runtime/kuzflow_runtime/__init__.py")),
    ("changes.py", include_str!("../../../assets/runtime/kuzflow_runtime/changes.py")),
    ("channel.py", include_str!("../../../assets/runtime/kuzflow_runtime/channel.py")),
    (
        "class_exchange.py",
        include_str!("../../../assets/runtime/kuzflow_runtime/class_exchange.py"),
    ),
    ("classes.py", include_str!("../../../assets/runtime/kuzflow_runtime/classes.py")),
    ("container.py", include_str!("../../../assets/runtime/kuzflow_runtime/container.py")),
    ("dependencies.py", include_str!("../../../assets/runtime/kuzflow_runtime/dependencies.py")),
    ("errors.py", include_str!("../../../assets/runtime/kuzflow_runtime/errors.py")),
    ("functions.py", include_str!("../../../assets/runtime/kuzflow_runtime/functions.py")),
    ("guard.py", include_str!("../../../assets/runtime/kuzflow_runtime/guard.py")),
    ("health.py", include_str!("../../../assets/runtime/kuzflow_runtime/health.py")),
    ("hotswap.py", include_str!("../../../assets/runtime/kuzflow_runtime/hotswap.py")),
    ("journal.py", include_str!("../../../assets/runtime/kuzflow_runtime/journal.py")),
    ("main_thread.py", include_str!("../../../assets/runtime/kuzflow_runtime/main_thread.py")),
    ("overlay.py", include_str!("../../../assets/runtime/kuzflow_runtime/overlay.py")),
    ("prepare.py", include_str!("../../../assets/runtime/kuzflow_runtime/prepare.py")),
    // Says that the package has types, to who checks the app's.
    ("py.typed", include_str!("../../../assets/runtime/kuzflow_runtime/py.typed")),
    ("qt.py", include_str!("../../../assets/runtime/kuzflow_runtime/qt.py")),
    ("references.py", include_str!("../../../assets/runtime/kuzflow_runtime/references.py")),
    ("stream.py", include_str!("../../../assets/runtime/kuzflow_runtime/stream.py")),
    ("swap.py", include_str!("../../../assets/runtime/kuzflow_runtime/swap.py")),
    ("updates.py", include_str!("../../../assets/runtime/kuzflow_runtime/updates.py")),
    ("wire.py", include_str!("../../../assets/runtime/kuzflow_runtime/wire.py")),
];

/// The files that every process of the container's Python runs first.
const ISOLATION: &[(&str, &str)] = &[
    ("kuzflow_container.py", include_str!("../../../assets/runtime/kuzflow_container.py")),
    // Before any import from the container: not even this file's bytecode must be written there.
    (
        "kuzflow_container.pth",
        "import sys; sys.dont_write_bytecode = True; import kuzflow_container\n",
    ),
];

/// Restricts every process of the container's Python to what the container brings, without a
/// variable that other programs would see as well.
pub(super) fn isolate(python: &Python, tree: &Path) -> Result<(), BuildError> {
    let folder = python.site.under(tree);
    fs::create_dir_all(&folder).at("create the folder", &folder)?;
    for (name, text) in ISOLATION {
        let path = folder.join(name);
        fs::write(&path, text).at("write", &path)?;
    }
    Ok(())
}

/// Writes the package into the tree; it does not affect an app that does not import it.
pub(super) fn lay_out(python: &Python, tree: &Path) -> Result<(), BuildError> {
    let folder = python.site.under(tree).join(NAME);
    if folder.exists() || tree.join("app").join(NAME).exists() {
        return Ok(());
    }
    fs::create_dir_all(&folder).at("create the folder", &folder)?;
    for (name, text) in FILES {
        let path = folder.join(name);
        fs::write(&path, text).at("write", &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_package_is_brought() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/runtime").join(NAME);
        let files = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = files.filter(|name| name != "__pycache__").collect();
        files.sort_unstable();
        assert_eq!(files, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
