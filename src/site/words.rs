//! The words of the download page in both languages.

/// A language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageLanguage {
    English,
    Chinese,
}

/// All words of a page. `{}` stands for a value.
pub(super) struct Words {
    pub title: &'static str,
    pub newest: &'static str,
    pub for_you: &'static str,
    pub file: &'static str,
    pub size: &'static str,
    pub with_release: &'static str,
    pub online: &'static str,
    pub whats_new: &'static str,
    pub older: &'static str,
    pub homepage: &'static str,
    pub feed: &'static str,
    pub other_language: &'static str,
    pub verify: &'static str,
    pub nothing: &'static str,
    pub debian: &'static str,
    pub red_hat: &'static str,
    pub any_linux: &'static str,
    pub windows: &'static str,
    pub windows_portable: &'static str,
    pub mac: &'static str,
    pub mac_archive: &'static str,
}

const ENGLISH: Words = Words {
    title: "Download {}",
    newest: "Version {}",
    for_you: "for your system",
    file: "File",
    size: "Size",
    with_release: "complete; needs no network to install",
    online: "small; fetches the app at the first start",
    whats_new: "What is new",
    older: "Older versions",
    homepage: "Homepage",
    feed: "News as a feed",
    other_language: "简体中文",
    verify: "The SHA-256 of a file tells whether it arrived whole: compare it with what sha256sum says.",
    nothing: "There is no installer yet.",
    debian: "Debian, Ubuntu",
    red_hat: "Fedora, openSUSE",
    any_linux: "any Linux, without root",
    windows: "Windows",
    windows_portable: "Windows, a folder to take along",
    mac: "macOS",
    mac_archive: "macOS, without a disk image",
};

const CHINESE: Words = Words {
    title: "下载 {}",
    newest: "版本 {}",
    for_you: "适合您的系统",
    file: "文件",
    size: "大小",
    with_release: "完整；安装时不需要网络",
    online: "较小；首次启动时下载应用",
    whats_new: "更新内容",
    older: "旧版本",
    homepage: "主页",
    feed: "订阅更新",
    other_language: "English",
    verify: "文件的 SHA-256 可以确认下载是否完整：请与 sha256sum 的输出比较。",
    nothing: "还没有安装程序。",
    debian: "Debian、Ubuntu",
    red_hat: "Fedora、openSUSE",
    any_linux: "任何 Linux，不需要 root",
    windows: "Windows",
    windows_portable: "Windows，可随身携带的文件夹",
    mac: "macOS",
    mac_archive: "macOS，不用磁盘映像",
};

impl PageLanguage {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The tag in the page's head.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The name of the page's file.
    pub(super) const fn file_name(self) -> &'static str {
        match self {
            Self::English => "index.html",
            Self::Chinese => "index.zh-CN.html",
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
}
