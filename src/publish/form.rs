//! Where the releases of a repository stand in its signed metadata.
//!
//! In: a targets document. Out: its form. Never: a guess from the releases: an empty repository has
//! a form too.

use serde_json::Value;
use tough::schema::Targets;

/// The field of the targets document that says where the releases stand.
const FORM_KEY: &str = "x-kuzflow-releases";

/// Where the releases stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataForm {
    /// All in the targets role: the form that launchers from before there were roles for releases
    /// read.
    Single,
    /// In roles of their own, and in the targets role as well.
    Both,
    /// In roles of their own.
    Roles,
}

impl MetadataForm {
    /// The form of a repository.
    pub(super) fn of(targets: &Targets) -> Self {
        match targets._extra.get(FORM_KEY).and_then(Value::as_str) {
            Some("both") => Self::Both,
            Some("roles") => Self::Roles,
            _ => Self::Single,
        }
    }

    /// Notes the form in the targets document.
    pub(super) fn note(self, targets: &mut Targets) {
        let text = match self {
            Self::Single => {
                targets._extra.remove(FORM_KEY);
                return;
            }
            Self::Both => "both",
            Self::Roles => "roles",
        };
        targets._extra.insert(FORM_KEY.to_owned(), Value::String(text.to_owned()));
    }
}
