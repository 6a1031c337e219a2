//! Finds machine code in a container that its platform cannot run: a library of the publisher's own
//! system that slipped in would fail only on users' computers.
//!
//! In: a laid-out tree and the platform. Out: an error that names the files, or a warning for the
//! publisher's own platform, where a trial start shows what fails. Never: a change in the tree.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::copy::{self, Exclusions};
use super::error::{BuildError, FOREIGN_FILES_HELP};
use super::machine_code::{HEAD_BYTES, MachineCode};
use super::request::BuildRequest;
use crate::file_error::{FileError, FileResult as _};
use crate::model::Platform;

/// Most files that a message names.
const MAX_NAMED: usize = 5;

/// Checks all files in `tree`; `site` is the folder of its installed packages. Returns a warning.
pub(super) fn check(
    request: &BuildRequest,
    tree: &Path,
    site: Option<&Path>,
) -> Result<Option<String>, BuildError> {
    let found = find(request, tree, site)?;
    if found.is_empty() {
        return Ok(None);
    }
    let files = listed(&found);
    if request.platform == Platform::current() {
        return Ok(Some(format!("not for {}: {files}; {FOREIGN_FILES_HELP}", request.platform)));
    }
    Err(BuildError::ForeignFiles { platform: request.platform.clone(), files })
}

fn find(
    request: &BuildRequest,
    tree: &Path,
    site: Option<&Path>,
) -> Result<Vec<String>, BuildError> {
    let belongs = Exclusions::new(request.foreign_files.iter().map(String::as_str));
    let starters = site.map(script_starters).unwrap_or_default();
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.map_err(|error| copy::walk_error(tree, error))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let Some(code) = machine_code(entry.path())? else { continue };
        if code.runs_on(&request.platform)
            || (code.is_windows_program() && starters.contains(entry.path()))
        {
            continue;
        }
        let inside = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        let path = copy::relative(entry.path(), inside)?;
        if !belongs.covers(path.as_str()) {
            found.push(format!("{path} ({code})"));
        }
    }
    Ok(found)
}

fn machine_code(path: &Path) -> Result<Option<MachineCode>, FileError> {
    let mut head = Vec::new();
    let file = File::open(path).at("read", path)?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head).at("read", path)?;
    Ok(MachineCode::of(&head))
}

/// Programs of Windows in wheels for every system, such as those with which setuptools starts
/// scripts there.
fn script_starters(site: &Path) -> BTreeSet<PathBuf> {
    let packages = fs::read_dir(site).into_iter().flatten().flatten().map(|entry| entry.path());
    let for_every_system = packages.filter(|path| {
        let wheel = fs::read_to_string(path.join("WHEEL")).unwrap_or_default();
        let mut tags = wheel.lines().filter(|line| line.starts_with("Tag:")).peekable();
        tags.peek().is_some() && tags.all(|tag| tag.trim_end().ends_with("-any"))
    });
    let recorded = for_every_system.flat_map(|path| {
        let record = fs::read_to_string(path.join("RECORD")).unwrap_or_default();
        let programs = record.lines().filter_map(|line| line.split(',').next());
        let programs = programs.filter(|file| file.ends_with(".exe"));
        programs.map(|file| site.join(file)).collect::<Vec<_>>()
    });
    recorded.collect()
}

fn listed(found: &[String]) -> String {
    let names = found.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match found.len().saturating_sub(MAX_NAMED) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;

    /// A library of another system than the container's.
    const LINUX_LIBRARY: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0";
    /// A program of Windows.
    fn windows_program() -> Vec<u8> {
        let mut head = b"MZ".to_vec();
        head.resize(0x40, 0);
        head[0x3c] = 0x40;
        head.extend(b"PE\0\0\x64\x86");
        head.resize(0x40 + 22, 0);
        head.extend([0x22, 0]);
        head
    }

    #[test]
    fn a_library_of_another_system_is_named_and_a_starter_of_scripts_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, site) = (folder.path(), folder.path().join("runtime/site"));
        let write = |path: &str, content: &[u8]| {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("runtime/site/setuptools/cli.exe", &windows_program());
        write("runtime/site/setuptools-1.dist-info/WHEEL", b"Tag: py3-none-any\n");
        write("runtime/site/setuptools-1.dist-info/RECORD", b"setuptools/cli.exe,,\n");
        write("app/app.py", b"");
        let entry = "app.py".parse().unwrap();
        let mut request =
            BuildRequest::new(tree, "sample".parse().unwrap(), Version::new(1, 0, 0), entry);
        request.platform = "Linux_aarch64".parse().unwrap();
        assert!(find(&request, tree, Some(&site)).unwrap().is_empty());
        write("runtime/site/fast/_fast.so", LINUX_LIBRARY);
        write("app/tool.exe", &windows_program());
        let error = check(&request, tree, Some(&site)).unwrap_err().to_string();
        for part in ["runtime/site/fast/_fast.so (Linux x86_64)", "app/tool.exe (Windows x86_64)"] {
            assert!(error.contains(part), "{error}");
        }
        request.foreign_files = vec!["*.so".to_owned(), "app/tool.exe".to_owned()];
        assert_eq!(check(&request, tree, Some(&site)).unwrap(), None);
    }

    #[test]
    fn a_long_list_is_cut() {
        let found: Vec<String> = (0..8).map(|number| format!("f{number}")).collect();
        assert_eq!(listed(&found), "f0, f1, f2, f3, f4 and 3 more");
    }
}
