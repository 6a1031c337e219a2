//! Tests of `cli::publisher::try_start`.

use super::app::POLL_INTERVAL;
use super::*;

#[test]
fn an_import_of_what_is_started() {
    let import = |arguments: &[&str]| {
        let mut arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        only_import(&mut arguments).map(|()| arguments)
    };
    let function =
        import(&["-c", "import sys; from pkg.main import run; sys.exit(run())"]).unwrap();
    assert_eq!(function, ["-c", "import sys; from pkg.main import run; run"]);
    assert!(import(&["-m", "pkg"]).unwrap()[1].contains("run_module(\"pkg\""));
    assert_eq!(import(&["-s", "-P", "-m", "pkg"]).unwrap()[..2], ["-s", "-P"]);
    assert!(
        import(&["{container}/app/app.py"]).unwrap()[1]
            .contains("run_path(\"{container}/app/app.py\"")
    );
    assert!(import(&[]).is_err());
}

#[test]
fn what_helps_is_reported() {
    let wrote = "Traceback (most recent call last):\n  File \"app.py\", line 1\nModuleNotFoundError: No module named 'PyQt5'\n";
    assert!(hints(wrote)[0].starts_with("PyQt5 is neither"), "{:?}", hints(wrote));
    assert!(
        hints("_tkinter.TclError: no display name and no $DISPLAY environment variable")[0]
            .contains("--import-only")
    );
    assert!(hints("all is well").is_empty());
}

#[test]
#[cfg(unix)]
fn apps_are_judged_by_what_they_do_and_nothing_is_left_of_them() {
    // An app that ends does so at once, however long a busy computer takes for it. An app that
    // continues is given up after a moment.
    let fared = |script: &str, must_say: bool, health_report: Option<Result<(), String>>| {
        let mut app = App::start(Command::new("sh").args(["-c", script])).unwrap();
        let limit = if must_say || script.contains("wait") { 2 } else { 120 };
        let fared = app.watch(Duration::from_secs(limit), must_say, &|| health_report.clone());
        app.end();
        (fared, app.wrote())
    };
    assert_eq!(fared("echo a; echo b >&2; exit 3", false, None).0, Fared::Ended(3));
    assert!(fared("echo words >&2; exit 3", false, None).1.contains("words"));
    assert_eq!(fared("exit 0", false, None).0, Fared::Ended(0));
    assert_eq!(fared("kill -SEGV $$", false, None).0, Fared::Ended(139));
    assert_eq!(fared("sleep 60", true, None).0, Fared::NotUp);
    assert_eq!(fared("sleep 60", true, Some(Ok(()))).0, Fared::Up);
    assert_eq!(
        fared("sleep 60", false, Some(Err("no database".into()))).0,
        Fared::ReportedFailure("no database".into())
    );
    let (runs, wrote) = fared("sleep 61 & echo $!; wait", false, None);
    assert_eq!(runs, Fared::Runs);
    let left = wrote.trim().parse::<i32>().unwrap();
    let gone = (0..2000).any(|_| {
        std::thread::sleep(POLL_INTERVAL);
        // A zombie that its parent has not reaped yet no longer runs.
        std::fs::read_to_string(format!("/proc/{left}/stat"))
            .map_or(true, |stat| stat.contains(") Z"))
    });
    assert!(gone || !cfg!(target_os = "linux"), "what the app started is left");
}
