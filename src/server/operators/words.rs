//! The words of the page in both languages.

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    Chinese,
}

/// All words of the page. `{}` stands for a value.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) other_language: &'static str,
    pub(super) log_in: &'static str,
    pub(super) log_out: &'static str,
    pub(super) token: &'static str,
    pub(super) token_hint: &'static str,
    pub(super) wrong_token: &'static str,
    pub(super) too_many: &'static str,
    pub(super) other_site: &'static str,
    pub(super) no_numbers: &'static str,
    pub(super) days: &'static str,
    pub(super) one_day: &'static str,
    pub(super) app: &'static str,
    pub(super) channel: &'static str,
    pub(super) platform: &'static str,
    pub(super) version: &'static str,
    pub(super) all: &'static str,
    pub(super) show: &'static str,
    pub(super) clear: &'static str,
    pub(super) installations: &'static str,
    pub(super) on_day: &'static str,
    pub(super) updates_up: &'static str,
    pub(super) of_offered: &'static str,
    pub(super) rolled_back: &'static str,
    pub(super) of_ended: &'static str,
    pub(super) failed: &'static str,
    pub(super) saved: &'static str,
    pub(super) of_packages: &'static str,
    pub(super) dropped: &'static str,
    pub(super) dropped_hint: &'static str,
    pub(super) versions_title: &'static str,
    pub(super) versions_hint: &'static str,
    pub(super) no_versions: &'static str,
    pub(super) others: &'static str,
    pub(super) as_table: &'static str,
    pub(super) day: &'static str,
    pub(super) funnel_title: &'static str,
    pub(super) funnel_hint: &'static str,
    pub(super) no_funnel: &'static str,
    pub(super) older: &'static str,
    pub(super) offered: &'static str,
    pub(super) fetched: &'static str,
    pub(super) installed: &'static str,
    pub(super) up: &'static str,
    pub(super) rollbacks_title: &'static str,
    pub(super) no_rollbacks: &'static str,
    pub(super) reason: &'static str,
    pub(super) how_often: &'static str,
    pub(super) failures_title: &'static str,
    pub(super) no_failures: &'static str,
    pub(super) problem: &'static str,
    pub(super) with_versions: &'static str,
    pub(super) nodes_title: &'static str,
    pub(super) nodes_hint: &'static str,
    pub(super) no_nodes: &'static str,
    pub(super) node: &'static str,
    pub(super) downloads: &'static str,
    pub(super) bytes: &'static str,
    pub(super) faults: &'static str,
    pub(super) fault_rate: &'static str,
    pub(super) regions_title: &'static str,
    pub(super) no_regions: &'static str,
    pub(super) region: &'static str,
    pub(super) speed: &'static str,
    pub(super) nothing_found: &'static str,
    pub(super) without_filters: &'static str,
    pub(super) no_reports: &'static str,
    pub(super) how_to: &'static str,
    pub(super) how_to_new: &'static str,
    pub(super) how_to_installed: &'static str,
    pub(super) how_to_then: &'static str,
    pub(super) builds_title: &'static str,
    pub(super) builds_hint: &'static str,
    pub(super) build: &'static str,
    pub(super) for_whom: &'static str,
    pub(super) state: &'static str,
    pub(super) asked_at: &'static str,
    pub(super) duration: &'static str,
    pub(super) queued: &'static str,
    pub(super) running: &'static str,
    pub(super) done: &'static str,
    pub(super) build_failed: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) minutes: &'static str,
    pub(super) plain_seconds: &'static str,
    pub(super) utc: &'static str,
}

const ENGLISH: Words = Words {
    title: "Fleet",
    other_language: "简体中文",
    log_in: "Log in",
    log_out: "Log out",
    token: "Token",
    token_hint: "Whoever works on this server makes one with this command:",
    wrong_token: "This token is not valid. It may have expired or been revoked.",
    too_many: "Too many attempts in this minute. Try again in a minute.",
    other_site: "This was sent by another site, and nothing was done. Open this page anew.",
    no_numbers: "The numbers cannot be read now. The server's log says why.",
    days: "{} days",
    one_day: "1 day",
    app: "App",
    channel: "Channel",
    platform: "Platform",
    version: "Version",
    all: "all",
    show: "Show",
    clear: "Show all",
    installations: "Installations",
    on_day: "on {}",
    updates_up: "Updates that came up",
    of_offered: "{} of those offered",
    rolled_back: "Rolled back",
    of_ended: "{} of those that started",
    failed: "Failed",
    saved: "Bytes saved",
    of_packages: "{} of whole packages",
    dropped: "Reports dropped",
    dropped_hint: "by launchers, ever",
    versions_title: "Versions over time",
    versions_hint: "Installations that reported on a day (UTC), by the version they used. The last 60 days are known; today is not over yet.",
    no_versions: "No installation has reported its version in these days.",
    others: "others",
    as_table: "As a table",
    day: "Day",
    funnel_title: "How far updates came",
    funnel_hint: "Each update counts once in each step. The bars compare with the first step.",
    no_funnel: "No update was reported in these days.",
    older: "Older versions: {}",
    offered: "Offered",
    fetched: "Fetched",
    installed: "Installed",
    up: "Up",
    rollbacks_title: "Rollbacks and their reasons",
    no_rollbacks: "Nothing was rolled back in these days.",
    reason: "Reason",
    how_often: "Times",
    failures_title: "Failures by kind",
    no_failures: "Nothing failed in these days.",
    problem: "Problem",
    with_versions: "With",
    nodes_title: "Nodes",
    nodes_hint: "What downloads had of each node. Nodes serve all channels, platforms and versions.",
    no_nodes: "No download was reported in these days.",
    node: "Node",
    downloads: "Downloads",
    bytes: "Bytes",
    faults: "Faults",
    fault_rate: "{} per 1,000 downloads",
    regions_title: "Speed and bytes saved by region",
    no_regions: "No download was reported in these days.",
    region: "Region",
    speed: "Speed",
    nothing_found: "Nothing like this was reported in these days.",
    without_filters: "Show everything in these days",
    no_reports: "No reports yet",
    how_to: "Launchers report only if their publisher wants it. This switches it on:",
    how_to_new: "For new installations, in launcher.toml, which comes with the launcher:",
    how_to_installed: "For those that are installed, in kuzflow.toml; then run kuzflow renew:",
    how_to_then: "A launcher sends its reports after its next check for a release. Each user can switch them off.",
    builds_title: "Builds",
    builds_hint: "The newest builds that this server was asked for, and how many there are of each kind since the store began.",
    build: "Build",
    for_whom: "For",
    state: "State",
    asked_at: "Asked for",
    duration: "Took",
    queued: "queued",
    running: "running",
    done: "done",
    build_failed: "failed",
    cancelled: "cancelled",
    minutes: "{} min {} s",
    plain_seconds: "{} s",
    utc: "Days and hours are those of UTC.",
};

const CHINESE: Words = Words {
    title: "安装概况",
    other_language: "English",
    log_in: "登录",
    log_out: "退出登录",
    token: "令牌",
    token_hint: "服务器的管理员用以下命令生成令牌：",
    wrong_token: "令牌无效：可能已过期，或已被撤销。",
    too_many: "这一分钟内尝试次数过多，请一分钟后再试。",
    other_site: "此请求来自其他网站，未执行任何操作。请重新打开本页面。",
    no_numbers: "暂时无法读取数据，原因见服务器日志。",
    days: "{} 天",
    one_day: "1 天",
    app: "应用",
    channel: "渠道",
    platform: "平台",
    version: "版本",
    all: "全部",
    show: "显示",
    clear: "显示全部",
    installations: "安装数",
    on_day: "{}",
    updates_up: "已就绪的更新",
    of_offered: "占已提供更新的 {}",
    rolled_back: "已恢复旧版本",
    of_ended: "占已启动更新的 {}",
    failed: "失败",
    saved: "节省的字节",
    of_packages: "占完整安装包的 {}",
    dropped: "丢弃的报告",
    dropped_hint: "由启动器丢弃，累计",
    versions_title: "各版本随时间的变化",
    versions_hint: "每天（UTC）发送报告的安装数，按使用的版本划分。保留最近 60 天；今天尚未结束。",
    no_versions: "这段时间内没有安装报告过版本。",
    others: "其他",
    as_table: "以表格显示",
    day: "日期",
    funnel_title: "更新进行到哪一步",
    funnel_hint: "每次更新在每一步只计一次；横条与第一步相比。",
    no_funnel: "这段时间内没有更新报告。",
    older: "更早的版本：{}",
    offered: "已提供",
    fetched: "已下载",
    installed: "已安装",
    up: "已就绪",
    rollbacks_title: "恢复旧版本及原因",
    no_rollbacks: "这段时间内没有恢复旧版本。",
    reason: "原因",
    how_often: "次数",
    failures_title: "各类失败",
    no_failures: "这段时间内没有失败。",
    problem: "问题",
    with_versions: "涉及版本",
    nodes_title: "节点",
    nodes_hint: "下载从各节点获得的数据。节点服务于所有渠道、平台和版本。",
    no_nodes: "这段时间内没有下载报告。",
    node: "节点",
    downloads: "下载次数",
    bytes: "字节",
    faults: "故障",
    fault_rate: "每 1,000 次下载 {} 次",
    regions_title: "各地区的速度和节省的字节",
    no_regions: "这段时间内没有下载报告。",
    region: "地区",
    speed: "速度",
    nothing_found: "这段时间内没有符合条件的报告。",
    without_filters: "显示这段时间的全部数据",
    no_reports: "还没有报告",
    how_to: "只有发布者启用后，启动器才会发送报告。启用方法：",
    how_to_new: "对于新的安装，写入随启动器提供的 launcher.toml：",
    how_to_installed: "对于已有的安装，写入 kuzflow.toml，然后运行 kuzflow renew：",
    how_to_then: "启动器在下一次检查更新之后发送报告。每位用户都可以关闭报告。",
    builds_title: "构建任务",
    builds_hint: "最近提交给本服务器的构建任务，以及自数据库建立以来各状态的数量。",
    build: "构建",
    for_whom: "提交者",
    state: "状态",
    asked_at: "提交时间",
    duration: "用时",
    queued: "排队中",
    running: "进行中",
    done: "已完成",
    build_failed: "失败",
    cancelled: "已取消",
    minutes: "{} 分 {} 秒",
    plain_seconds: "{} 秒",
    utc: "日期和小时均为 UTC 时间。",
};

impl Words {
    /// A duration.
    pub(super) fn seconds(&self, seconds: i64) -> String {
        let text = if seconds < 60 { self.plain_seconds } else { self.minutes };
        let numbers = if seconds < 60 { vec![seconds] } else { vec![seconds / 60, seconds % 60] };
        numbers.into_iter().fold(text.to_owned(), |text, n| text.replacen("{}", &n.to_string(), 1))
    }
}

impl Language {
    /// The language of a tag, if the page has it.
    pub(super) fn of(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The tag in the page's head and in its address.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    pub(super) const fn other(self) -> Self {
        match self {
            Self::English => Self::Chinese,
            Self::Chinese => Self::English,
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// What a problem, a reason or another word of a report means. A word of a newer launcher stands
    /// for itself.
    pub(super) fn meaning(self, word: &str) -> String {
        let known = MEANINGS.iter().find(|(one, ..)| *one == word);
        match (self, known) {
            (Self::English, Some((_, english, _))) => (*english).to_owned(),
            (Self::Chinese, Some((.., chinese))) => (*chinese).to_owned(),
            (_, None) => word.to_owned(),
        }
    }
}

/// Words of reports in both languages: reasons of rollbacks, and kinds of problems.
const MEANINGS: [(&str, &str, &str); 47] = [
    ("crashed", "the app crashed", "应用崩溃"),
    ("ended_at_once", "the app ended at once", "应用启动后立即结束"),
    ("hung", "the app did not respond", "应用没有响应"),
    ("reported", "the app reported a fault itself", "应用自己报告了故障"),
    ("not_started", "the app could not be started", "应用无法启动"),
    ("never_up", "the app never came up", "应用始终未就绪"),
    ("other", "other", "其他"),
    ("", "not named", "未说明"),
    ("no_network", "no node can be reached", "无法连接任何节点"),
    ("nodes_unusable", "no node has the files", "节点上没有所需的文件"),
    ("not_trusted", "verification failed", "未通过校验"),
    ("metadata_expired", "metadata has expired", "元数据已过期"),
    ("disk_full", "disk full", "磁盘空间不足"),
    ("disk_error", "a file cannot be read or written", "无法读写文件"),
    ("file_size_limit", "the system allows no larger file", "系统不能写入这么大的文件"),
    ("file_missing", "a file is missing", "找不到文件或文件夹"),
    ("another_disk", "a part of the home is on another disk", "安装的一部分位于另一个磁盘"),
    ("exhausted", "no threads, files or memory left", "系统的线程、文件或内存不足"),
    ("busy", "another launcher is at work", "另一个启动器正在运行"),
    ("bad_package", "the package is damaged", "安装包已损坏"),
    ("no_such_version", "no such version", "找不到此版本"),
    ("not_installed", "the version is not installed", "尚未安装此版本"),
    ("version_in_use", "the version is in use", "此版本正在使用中"),
    ("data_too_new", "the user's files are too new", "用户的文件对这个版本来说太新"),
    ("migration_failed", "the migration script failed", "迁移脚本失败"),
    ("no_rollback_point", "nothing to go back to", "没有可以恢复的状态"),
    ("app_running", "the app is running", "应用正在运行"),
    ("open_twice", "the app is open twice", "应用已打开两次"),
    ("launch_failed", "the app could not be started", "应用无法启动"),
    ("did_not_start", "the app ended before it came up", "应用在就绪之前结束"),
    ("ended_with_error", "the app ended with an error", "应用出错并结束"),
    ("programs_forbidden", "the disk allows no programs", "磁盘上不允许运行程序"),
    ("nothing_installed", "nothing is installed", "尚未安装应用"),
    (
        "home_of_another_program",
        "the home has another program's files",
        "安装文件夹中有其他程序的文件",
    ),
    (
        "app_of_another_publisher",
        "another publisher's app of this name",
        "已安装其他发布者的同名应用",
    ),
    (
        "nothing_for_this",
        "no release for this app, channel and platform",
        "没有适用于此应用、渠道和平台的版本",
    ),
    ("bad_settings", "the settings cannot be read", "无法读取启动器的设置"),
    ("launcher_too_old", "the launcher is too old", "启动器版本过旧"),
    ("bundle_damaged", "the bundle is damaged", "更新包已损坏"),
    ("bundle_is_package", "a package instead of a bundle", "文件是安装包而不是更新包"),
    ("bundle_not_trusted", "the bundle failed verification", "更新包未通过校验"),
    ("bundle_expired", "the bundle is old", "更新包已过期"),
    ("bundle_unsuitable", "the bundle is for another app or system", "更新包不适用于此应用或系统"),
    ("bundle_withdrawn", "the bundle's release was withdrawn", "更新包的版本已撤回"),
    ("bundle_undecided", "a bundle older than what is known", "更新包比已知信息更旧"),
    ("bundle_too_far", "another version must come before", "需要先安装另一个版本"),
    ("internal", "a fault of the launcher", "启动器内部错误"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::protocol::ProblemKind;

    #[test]
    fn every_problem_and_reason_has_a_meaning_in_both_languages() {
        let problems = ProblemKind::ALL.map(|kind| serde_json::to_value(kind).unwrap());
        let problems = problems.iter().map(|word| word.as_str().unwrap().to_owned());
        let reasons = ["crashed", "ended_at_once", "hung", "reported", "not_started", "never_up"];
        for word in problems.chain(reasons.map(ToOwned::to_owned)) {
            assert!(MEANINGS.iter().any(|(known, ..)| *known == word), "{word}");
            let chinese = Language::Chinese.meaning(&word);
            assert!(chinese.chars().any(|sign| sign > '\u{2e80}'), "{word}: {chinese}");
        }
        assert_eq!(Language::English.meaning("something_new"), "something_new");
    }

    #[test]
    fn a_tag_names_a_language() {
        for (tag, language) in [
            ("en", Some(Language::English)),
            ("en-GB", Some(Language::English)),
            ("zh_TW", Some(Language::Chinese)),
            ("de", None),
            ("", None),
        ] {
            assert_eq!(Language::of(tag), language, "{tag}");
        }
    }
}
