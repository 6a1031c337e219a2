//! Builds that cannot be: the error says what to do.

use super::*;

#[test]
fn without_python_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&sample(folder.path()));
    request.python = PathBuf::from("no-such-python");
    let error = bundling::build(&request, folder.path(), &|_| ()).unwrap_err();
    assert!(matches!(error, BuildError::NoPython { .. }), "{error:?}");
    assert!(error.to_string().contains("no-such-python"), "{error}");
    request.platform = "Windows_AMD64".parse().unwrap();
    let error = bundling::build(&request, folder.path(), &|_| ()).unwrap_err();
    assert!(cfg!(windows) || matches!(error, BuildError::ForeignRuntime { .. }), "{error:?}");
    request.runtime = Runtime::None;
    let error = bundling::build(&request, folder.path(), &|_| ()).unwrap_err();
    assert!(matches!(error, BuildError::NoRuntime { .. }), "{error:?}");
    // Failed builds leave no files behind.
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["source"]);
}

#[test]
fn an_entry_point_that_is_not_there_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&sample(folder.path()));
    request.runtime = Runtime::None;
    request.entry = "exe:bin/missing".parse().unwrap();
    let error = bundling::build(&request, folder.path(), &|_| ()).unwrap_err();
    assert!(matches!(error, BuildError::NoEntry { .. }), "{error:?}");
    request.app = folder.path().join("no such folder");
    let error = bundling::build(&request, folder.path(), &|_| ()).unwrap_err();
    assert!(error.to_string().contains("no such folder"), "{error}");
}

#[test]
fn pips_own_words_are_in_the_error() {
    if is_missing(&["-m", "pip", "--version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut request = request(&sample(folder.path()));
    let requirements = folder.path().join("requirements.txt");
    fs::write(&requirements, "./no-such-wheel-1.0-py3-none-any.whl\n").unwrap();
    request.requirements = Some(requirements);
    let error = bundling::build(&request, folder.path(), &|_| ()).unwrap_err();
    assert!(error.to_string().contains("no-such-wheel"), "{error}");
}
