//! A setting of `[app]` that may differ between platforms.
//!
//! In: one value, or a table with a value for each platform (`Windows_AMD64`) or for each system
//! (`Windows`). Out: the value of a platform. Never: a key that no platform has: a mistyped one is
//! refused.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::Platform;

/// The systems, as platforms begin with them.
const SYSTEMS: [&str; 3] = ["Linux", "Windows", "Darwin"];
/// How people write them, and what is meant.
const OTHER_NAMES: [(&str, &str); 2] = [("macos", "Darwin"), ("mac", "Darwin")];

/// One value for all platforms, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PerPlatform<T> {
    /// The same for all.
    All(T),
    /// By system or platform; a platform's own value comes before its system's. The others have
    /// none.
    Each(BTreeMap<String, T>),
}

impl<T> PerPlatform<T> {
    /// The value for `platform`.
    pub(super) fn of(&self, platform: &Platform) -> Option<&T> {
        match self {
            Self::All(value) => Some(value),
            Self::Each(each) => each.get(&platform.to_string()).or_else(|| each.get(&platform.os)),
        }
    }

    /// All values.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        let (one, each) = match self {
            Self::All(value) => (Some(value), None),
            Self::Each(each) => (None, Some(each.values())),
        };
        one.into_iter().chain(each.into_iter().flatten())
    }

    /// The same with other values.
    pub(crate) fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerPlatform<U> {
        match self {
            Self::All(value) => PerPlatform::All(change(value)),
            Self::Each(each) => PerPlatform::Each(
                each.into_iter().map(|(key, value)| (key, change(value))).collect(),
            ),
        }
    }
}

impl<T> From<T> for PerPlatform<T> {
    fn from(value: T) -> Self {
        Self::All(value)
    }
}

impl<T: fmt::Display> fmt::Display for PerPlatform<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, value) in self.values().enumerate() {
            write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PerPlatform<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Without `untagged`, an error says what is wrong with the value itself.
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = PerPlatform<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a table with one for each platform")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(serde::de::value::StrDeserializer::new(text)).map(PerPlatform::All)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let each: BTreeMap<String, T> =
                    BTreeMap::deserialize(MapAccessDeserializer::new(map))?;
                match each.keys().find_map(|key| fault(key)) {
                    Some(fault) => Err(A::Error::custom(fault)),
                    None => Ok(PerPlatform::Each(each)),
                }
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// What is wrong with a key of such a table.
fn fault(key: &str) -> Option<String> {
    if SYSTEMS.contains(&key) {
        return None;
    }
    let system = key.split('_').next().unwrap_or_default();
    let is_platform = key.parse::<Platform>().is_ok();
    if is_platform && SYSTEMS.contains(&system) {
        return None;
    }
    let other = OTHER_NAMES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(system));
    let meant = SYSTEMS
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(system))
        .or(other.map(|(_, name)| name));
    Some(match meant {
        Some(meant) => format!("{key:?} is no platform; write {meant}{}", &key[system.len()..]),
        None => format!(
            "{key:?} is no platform; write {}, or for example Windows_AMD64",
            SYSTEMS.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::bundling::EntryPoint;

    #[derive(Debug, Deserialize, Serialize)]
    struct Table {
        entry: PerPlatform<EntryPoint>,
    }

    fn read(entry: &str) -> Result<PerPlatform<EntryPoint>, String> {
        let table = toml::from_str::<Table>(&format!("entry = {entry}"));
        table.map(|table| table.entry).map_err(|error| error.to_string())
    }

    #[test]
    fn a_platforms_own_value_comes_before_its_systems() {
        let entry = read(
            "{ Linux = 'exe:bin/app', Windows = 'exe:app.exe', Windows_ARM64 = 'exe:arm/app.exe' }",
        )
        .unwrap();
        let of = |platform: &str| {
            entry.of(&platform.parse().unwrap()).map(ToString::to_string).unwrap_or_default()
        };
        assert_eq!(of("Linux_x86_64"), "exe:bin/app");
        assert_eq!(of("Windows_AMD64"), "exe:app.exe");
        assert_eq!(of("Windows_ARM64"), "exe:arm/app.exe");
        assert_eq!(of("Darwin_arm64"), "");
        assert_eq!(entry.to_string(), "exe:bin/app, exe:app.exe, exe:arm/app.exe");
        let again = toml::to_string(&Table { entry: entry.clone() }).unwrap();
        assert_eq!(toml::from_str::<Table>(&again).unwrap().entry, entry);
        let all = read("'app.py'").unwrap();
        assert_eq!(all.of(&"Any_thing".parse().unwrap()).unwrap().to_string(), "app.py");
    }

    #[test]
    fn a_mistyped_platform_and_a_wrong_value_are_named() {
        for (entry, words) in [
            ("{ windows = 'exe:a' }", "\"windows\" is no platform; write Windows"),
            ("{ macOS_arm64 = 'exe:a' }", "\"macOS_arm64\" is no platform; write Darwin_arm64"),
            ("{ Haiku = 'exe:a' }", "write Linux, Windows, Darwin, or for example Windows_AMD64"),
            ("{ Linux = 'exe:../a' }", "not an entry point: \"exe:../a\""),
            ("'module:'", "not an entry point: \"module:\""),
            ("7", "a text, or a table with one for each platform"),
        ] {
            let error = read(entry).unwrap_err();
            assert!(error.contains(words), "{entry}: {error}");
        }
    }
}
