//! Tests of `publish::bundling::start`.

use super::*;

#[test]
fn entry_points_as_text() {
    for text in [
        "app.py",
        "src/主 程序.py",
        "module:labelImg",
        "module:labelImg.labelImg:main",
        "exe:bin/x",
    ] {
        assert_eq!(text.parse::<EntryPoint>().unwrap().to_string(), text);
    }
    for bad in [
        "",
        "/bin/sh",
        "../x.py",
        "module:",
        "module:a-b",
        "module:a:b()",
        "module:a; import os",
        "exe:",
        "exe:../x",
    ] {
        assert!(bad.parse::<EntryPoint>().is_err(), "{bad}");
    }
}

fn launch() -> Launch {
    Launch {
        arguments: vec!["{container}/app/100% a.py".to_owned(), "$HOME \"x\"".to_owned()],
        environment: BTreeMap::from([("KUZFLOW_HOME".to_owned(), "{container}".to_owned())]),
        prepend: BTreeMap::from([(
            "PATH".to_owned(),
            vec!["runtime".parse().unwrap(), "runtime/Scripts".parse().unwrap()],
        )]),
        ..Launch::plain("runtime/python.exe".parse().unwrap(), "app".parse().unwrap())
    }
}

#[test]
fn batch_files_quote_and_end_lines_as_windows_wants() {
    let (name, text) = script(&launch(), "sample 1.0.0", &"Windows_AMD64".parse().unwrap());
    assert_eq!(name, "scripts/launch.bat");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    for part in [
        "set \"KUZFLOW_HOME=%CONTAINER_ROOT%\"\r\n",
        "if defined PATH set \"PATH=;%PATH%\"\r\nset \"PATH=%CONTAINER_ROOT%\\runtime;%CONTAINER_ROOT%\\runtime\\Scripts%PATH%\"\r\n",
        "\"%CONTAINER_ROOT%\\runtime\\python.exe\" \"%CONTAINER_ROOT%\\app\\100%% a.py\"",
        "exit /b %STATUS%",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn shell_scripts_quote() {
    let text = shell(&launch(), "sample 1.0.0");
    for part in [
        "export KUZFLOW_HOME=\"$CONTAINER_ROOT\"\n",
        "export PATH=\"$CONTAINER_ROOT/runtime:$CONTAINER_ROOT/runtime/Scripts${PATH:+:$PATH}\"\n",
        "exec \"$CONTAINER_ROOT/runtime/python.exe\" \"$CONTAINER_ROOT/app/100% a.py\" \"\\$HOME \\\"x\\\"\" \"$@\"\n",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
