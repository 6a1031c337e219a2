//! What the words of reports and of the audit mean, in both languages of the page.
//!
//! In: a word. Out: what it means. Never: an error; a word of a newer launcher stands for itself.

use super::words::Language;

impl Language {
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

/// Words of reports and of the audit in both languages: reasons of rollbacks, kinds of problems, and
/// what people and the server did.
const MEANINGS: [(&str, &str, &str); 60] = [
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
    ("token_new", "token made", "新建令牌"),
    ("token_revoked", "token revoked", "撤销令牌"),
    ("login", "logged in", "登录"),
    ("login_refused", "login refused", "登录被拒绝"),
    ("logout", "logged out", "退出登录"),
    ("build_new", "build asked for", "请求构建"),
    ("build_cancelled", "build cancelled", "取消构建"),
    ("rollout_halted", "rollout halted", "发布已暂停"),
    ("rollout_resumed", "rollout resumed", "发布已恢复"),
    ("rollout_next_stage", "next stage opened", "开启下一阶段"),
    ("release_recalled", "release recalled", "召回版本"),
    ("rollout_signed_elsewhere", "rollout moved at a terminal", "在终端中操作了发布"),
    ("recall_taken_back", "recall taken back", "撤销召回"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Deed;
    use crate::messages::protocol::ProblemKind;

    #[test]
    fn every_problem_and_reason_has_a_meaning_in_both_languages() {
        let problems = ProblemKind::ALL.map(|kind| serde_json::to_value(kind).unwrap());
        let problems = problems.iter().map(|word| word.as_str().unwrap().to_owned());
        let reasons = ["crashed", "ended_at_once", "hung", "reported", "not_started", "never_up"];
        let deeds = Deed::ALL.map(|deed| deed.word().to_owned());
        for word in problems.chain(reasons.map(ToOwned::to_owned)).chain(deeds) {
            assert!(MEANINGS.iter().any(|(known, ..)| *known == word), "{word}");
            let chinese = Language::Chinese.meaning(&word);
            assert!(chinese.chars().any(|sign| sign > '\u{2e80}'), "{word}: {chinese}");
        }
        assert_eq!(Language::English.meaning("something_new"), "something_new");
    }
}
