//! `[reports]`: whether launchers report what became of updates, and where to. Off unless the
//! publisher switches it on; the user has the last word.

use serde::{Deserialize, Serialize};
use url::Url;

/// The table `[reports]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reports {
    /// Whether launchers report. If absent: whether `url` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The server that takes the reports; `api` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
}

impl Reports {
    /// Whether the publisher wants reports.
    pub fn is_on(&self) -> bool {
        self.enabled.unwrap_or(self.url.is_some())
    }

    /// Where reports go, if the publisher wants any; `api` is the setting of that name.
    pub fn address(&self, api: Option<&Url>) -> Option<Url> {
        let mut address = self.url.as_ref().or(api).filter(|_| self.is_on())?.clone();
        let path = format!("{}/api/reports", address.path().trim_end_matches('/'));
        address.set_path(&path);
        Some(address)
    }

    /// What is wrong with these settings, if anything.
    pub(super) fn fault(&self, api: Option<&Url>) -> Option<(&'static str, &'static str)> {
        if self.url.as_ref().is_some_and(|url| !matches!(url.scheme(), "http" | "https")) {
            return Some(("reports.url", "it must begin with http:// or https://"));
        }
        (self.is_on() && self.url.is_none() && api.is_none())
            .then_some(("reports.url", "it is missing, and so is api: reports need a server"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_off_until_the_publisher_wants_them() {
        let url: Url = "https://fleet.example.com/kuzflow/".parse().unwrap();
        let reports = |enabled, url: Option<&Url>| Reports { enabled, url: url.cloned() };
        assert_eq!(Reports::default().address(Some(&url)), None);
        let address = "https://fleet.example.com/kuzflow/api/reports";
        for on in [reports(None, Some(&url)), reports(Some(true), Some(&url))] {
            assert_eq!(on.address(None).unwrap().as_str(), address);
        }
        let by_api = reports(Some(true), None);
        assert_eq!(by_api.address(Some(&url)).unwrap().as_str(), address);
        assert_eq!(by_api.address(None), None);
        assert!(by_api.fault(None).is_some() && by_api.fault(Some(&url)).is_none());
        assert_eq!(reports(Some(false), Some(&url)).address(Some(&url)), None);
        assert!(reports(None, Some(&"ftp://a/".parse().unwrap())).fault(None).is_some());
    }
}
