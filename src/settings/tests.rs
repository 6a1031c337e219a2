//! Tests of `settings`.

use super::*;

const SMALLEST: &str = "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:8080/'\n";

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, Path::new("launcher.toml"))
}

#[test]
fn the_smallest_file_is_enough() {
    let settings = parse(SMALLEST).unwrap();
    assert_eq!(
        (settings.channel.as_str(), settings.update.check, settings.bandwidth_limit()),
        ("stable", CheckTime::AfterStart, None)
    );
    assert_eq!(settings.window.notification, Announcement::Window);
    let again = parse(&toml::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
}

#[test]
fn hours_are_whole_or_not() {
    let interval = |hours: &str| {
        parse(&format!("{SMALLEST}[update]\ncheck_hours = {hours}"))
            .unwrap()
            .update
            .check_interval()
    };
    assert_eq!(parse(SMALLEST).unwrap().update.check_interval(), Duration::from_secs(2 * 3600));
    assert_eq!(
        [interval("1"), interval("0.5"), interval("0.05")],
        [3600, 1800, 180].map(Duration::from_secs)
    );
}

#[test]
fn mistakes_are_named() {
    let message = |text: &str| {
        let error = parse(text).unwrap_err();
        format!(
            "{error} {}",
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        )
    };
    assert!(message(&SMALLEST.replace("app =", "chanel = 'x'\napp =")).contains("chanel"));
    assert!(message("app = 'sample'\nnodes = []").contains("at least one node"));
    assert!(message(&format!("{SMALLEST}{}", &SMALLEST[15..])).contains("same id"));
    assert!(message(&SMALLEST.replace("http:", "ftp:")).contains("http://"));
    assert!(message(&SMALLEST.replace("'sample'", "'../x'")).contains("app name"));
    assert!(message(&format!("{SMALLEST}[window]\nlanguage = 'de'")).contains("zh-CN"));
    for hours in ["0", "0.049", "744.5", "-2", "nan", "inf"] {
        let message = message(&format!("{SMALLEST}[update]\ncheck_hours = {hours}"));
        assert!(
            message.contains("update.check_hours") && message.contains("0.05"),
            "{hours}: {message}"
        );
    }
    assert!(
        message(&format!("{SMALLEST}[update]\non_metered = 'sometimes'"))
            .contains("`nothing`, `check`, `all`")
    );
    assert!(
        message(&format!("{SMALLEST}[update]\npush_spread_seconds = 3601"))
            .contains("update.push_spread_seconds")
    );
    assert!(
        message(&format!("api = 'ftp://x/'\n{SMALLEST}"))
            .contains("api: it must begin with http://")
    );
    assert!(message(&format!("{SMALLEST}[window]\nnotification = 'loud'")).contains("loud"));
    let chain = message(&format!("{SMALLEST}[fallback]\nmax_patch_chain_length = 0"));
    assert!(
        chain.contains("fallback.max_patch_chain_length") && chain.contains("1 to 20"),
        "{chain}"
    );
}

#[test]
fn the_channels_to_choose_from_hold_the_one_that_is_followed() {
    let parse = |top: &str| {
        let text = format!("app = 'a'\n{top}\n[[nodes]]\nid = 'n'\nurl = 'http://n.example/'\n");
        Settings::parse(&text, Path::new("launcher.toml"))
    };
    let both = parse("channels = ['stable', 'beta']\nring = 'insiders'").unwrap();
    assert_eq!(
        (both.channels.len(), both.channel.as_str(), both.ring.as_str()),
        (2, "stable", "insiders")
    );
    assert!(parse("").unwrap().channels.is_empty(), "the publisher decides");
    let error = parse("channels = ['beta']").unwrap_err().to_string();
    assert!(error.contains("channels"), "{error}");
}
