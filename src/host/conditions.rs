//! Reads the system's power and network conditions: they decide whether background work should
//! wait.
//!
//! In: `/sys/class/power_supply`, NetworkManager and the power profile on Linux; the power status
//! and the network's cost on Windows; `pmset` on macOS. Out: [`Conditions`], within a second. Never: returns an
//! error. A value that the system does not give is `None`, and callers then assume mains power and
//! an ordinary network.

#[cfg(windows)]
mod windows;

use std::time::Duration;

/// The present power and network conditions; `None` for values that the system does not give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The network charges by volume, or the user has marked it so.
    pub metered: Option<bool>,
    /// The computer does not run on mains power.
    pub on_battery: Option<bool>,
    /// The battery has [`LOW_PERCENT`] or less.
    pub battery_low: Option<bool>,
    /// The system saves power, because a person or a low battery switched this on.
    pub saver: Option<bool>,
}

/// Charge up to which a battery counts as low, percent.
const LOW_PERCENT: u32 = 20;
/// How long the system may take to answer, for all questions together.
const SYSTEM_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the system. Blocks for a second at most.
pub(crate) fn conditions() -> Conditions {
    system::conditions()
}

#[cfg(all(unix, not(target_os = "macos")))]
mod system {
    use std::path::Path;

    use super::{Conditions, SYSTEM_TIMEOUT, supplies};
    use crate::host::in_time;

    pub(super) fn conditions() -> Conditions {
        let power = supplies::read(Path::new("/sys/class/power_supply"));
        let (metered, saver) =
            in_time(SYSTEM_TIMEOUT, || pollster::block_on(ask_services())).unwrap_or_default();
        Conditions { metered, saver, ..power }
    }

    /// Whether the network is metered and power is saved. Asks only services that already run, and
    /// starts none.
    async fn ask_services() -> (Option<bool>, Option<bool>) {
        let bus = zbus::connection::Builder::system()
            .map(|builder| builder.method_timeout(SYSTEM_TIMEOUT));
        let Ok(bus) = async { bus?.build().await }.await else { return (None, None) };
        // NMMetered: 1 yes, 2 no, 3 guessed yes (a phone's hotspot), 4 guessed no, 0 unknown.
        let network = property::<u32>(
            &bus,
            "org.freedesktop.NetworkManager",
            "/org/freedesktop/NetworkManager",
            "Metered",
        )
        .await;
        let metered = network.filter(|answer| *answer != 0).map(|answer| matches!(answer, 1 | 3));
        // The older name is the one that every version of the service answers to.
        let profile = property::<String>(
            &bus,
            "net.hadess.PowerProfiles",
            "/net/hadess/PowerProfiles",
            "ActiveProfile",
        )
        .await;
        (metered, profile.map(|profile| profile == "power-saver"))
    }

    /// A property of the interface that has the same name as the service.
    async fn property<T: TryFrom<zbus::zvariant::OwnedValue>>(
        bus: &zbus::Connection,
        name: &str,
        path: &str,
        property: &str,
    ) -> Option<T> {
        let (daemon, place) = ("org.freedesktop.DBus", "/org/freedesktop/DBus");
        let runs =
            bus.call_method(Some(daemon), place, Some(daemon), "NameHasOwner", &name).await.ok()?;
        if !runs.body().deserialize::<bool>().ok()? {
            return None;
        }
        let properties = Some("org.freedesktop.DBus.Properties");
        let answer =
            bus.call_method(Some(name), path, properties, "Get", &(name, property)).await.ok()?;
        answer.body().deserialize::<zbus::zvariant::OwnedValue>().ok()?.try_into().ok()
    }
}

#[cfg(windows)]
mod system {
    use super::{Conditions, SYSTEM_TIMEOUT, power_status, windows};
    use crate::host::in_time;

    pub(super) fn conditions() -> Conditions {
        // The other thread is one of its own, as COM needs it.
        in_time(SYSTEM_TIMEOUT, || {
            let cost = windows::network_cost().ok();
            Conditions { metered: cost.and_then(power_status::metered), ..power() }
        })
        .unwrap_or_default()
    }

    fn power() -> Conditions {
        let Some(status) = windows::power_status() else { return Conditions::default() };
        power_status::power(status.ACLineStatus, status.BatteryLifePercent, status.SystemStatusFlag)
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::process::{Command, Stdio};

    use super::{Conditions, SYSTEM_TIMEOUT, pmset};
    use crate::host::in_time;

    /// macOS reports metered networks only to code that observes paths for a while, so that value
    /// stays unknown.
    pub fn conditions() -> Conditions {
        in_time(SYSTEM_TIMEOUT, || pmset::conditions(&ask(&["-g", "batt"]), &ask(&["-g"])))
            .unwrap_or_default()
    }

    fn ask(arguments: &[&str]) -> String {
        let answer = Command::new("/usr/bin/pmset")
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        answer
            .map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned())
            .unwrap_or_default()
    }
}

/// The power supplies that Linux lists as folders.
#[cfg(any(all(unix, not(target_os = "macos")), test))]
mod supplies {
    use std::path::Path;

    use super::{Conditions, LOW_PERCENT};

    /// Reads `/sys/class/power_supply`. The battery of a mouse is not a battery of the computer.
    pub(super) fn read(folder: &Path) -> Conditions {
        let (mut mains, mut discharging, mut percents) = (None, None, Vec::new());
        for supply in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let value = |name: &str| {
                let text = std::fs::read_to_string(supply.path().join(name)).ok()?;
                Some(text.trim().to_owned())
            };
            if value("scope").as_deref() == Some("Device") {
                continue;
            }
            match value("type").as_deref() {
                Some("Mains" | "USB" | "Wireless") => {
                    let online = value("online").as_deref() == Some("1");
                    mains = Some(mains.unwrap_or(false) || online);
                }
                Some("Battery") => {
                    let discharges = value("status").as_deref() == Some("Discharging");
                    discharging = Some(discharging.unwrap_or(false) || discharges);
                    percents
                        .extend(value("capacity").and_then(|percent| percent.parse::<u32>().ok()));
                }
                _ => {}
            }
        }
        // A tablet may have an unlisted charger; then the battery's state decides.
        let on_battery = match (mains, discharging) {
            (_, None) => mains.map(|_| false),
            (Some(true), Some(_)) => Some(false),
            (_, Some(discharging)) => Some(discharging),
        };
        // Of two batteries the fuller one counts: the computer uses it when the other is empty.
        let battery_low = percents.into_iter().max().map(|percent| percent <= LOW_PERCENT);
        Conditions { on_battery, battery_low, ..Conditions::default() }
    }
}

/// The output of macOS's `pmset`.
#[cfg(any(target_os = "macos", test))]
mod pmset {
    use super::{Conditions, LOW_PERCENT};

    /// Reads `pmset -g batt` and `pmset -g`.
    pub(super) fn conditions(battery: &str, settings: &str) -> Conditions {
        let on_battery = battery
            .lines()
            .find(|line| line.starts_with("Now drawing from"))
            .map(|line| line.contains("Battery Power"));
        let percent =
            battery.lines().filter(|line| line.contains("InternalBattery")).find_map(|line| {
                let (before, _) = line.split_once('%')?;
                before
                    .rsplit(|character: char| !character.is_ascii_digit())
                    .next()?
                    .parse::<u32>()
                    .ok()
            });
        let saver = settings
            .lines()
            .find_map(|line| line.trim().strip_prefix("lowpowermode"))
            .map(|value| value.trim() == "1");
        Conditions {
            metered: None,
            on_battery,
            battery_low: percent.map(|percent| percent <= LOW_PERCENT),
            saver,
        }
    }
}

/// The values of Windows' own records.
#[cfg(any(windows, test))]
mod power_status {
    use super::{Conditions, LOW_PERCENT};

    /// Reads three values of `SYSTEM_POWER_STATUS`; 255 means unknown.
    pub(super) fn power(mains: u8, percent: u8, saver: u8) -> Conditions {
        let percent = Some(u32::from(percent)).filter(|percent| *percent <= 100);
        Conditions {
            metered: None,
            on_battery: match mains {
                0 => Some(true),
                1 => Some(false),
                _ => None,
            },
            battery_low: percent.map(|percent| percent <= LOW_PERCENT),
            saver: Some(saver == 1),
        }
    }

    /// Reads an `NLM_CONNECTION_COST`; `None` where it is unknown.
    pub(super) fn metered(cost: u32) -> Option<bool> {
        const UNRESTRICTED: u32 = 0x1;
        const FIXED_OR_VARIABLE: u32 = 0x2 | 0x4;
        const OVER_LIMIT_OR_ROAMING: u32 = 0x1_0000 | 0x4_0000;
        let has = |flags: u32| cost & flags != 0;
        if has(FIXED_OR_VARIABLE | OVER_LIMIT_OR_ROAMING) {
            return Some(true);
        }
        has(UNRESTRICTED).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `power_supply` folder with these supplies: name, and files with their contents.
    fn read(given: &[(&str, &[(&str, &str)])]) -> (Option<bool>, Option<bool>) {
        let folder = tempfile::tempdir().unwrap();
        for (name, files) in given {
            let supply = folder.path().join(name);
            std::fs::create_dir(&supply).unwrap();
            for (file, content) in *files {
                std::fs::write(supply.join(file), format!("{content}\n")).unwrap();
            }
        }
        let Conditions { on_battery, battery_low, metered: None, saver: None } =
            supplies::read(folder.path())
        else {
            panic!("supplies tell nothing of networks")
        };
        (on_battery, battery_low)
    }

    #[test]
    fn power_supplies() {
        let off = ("AC", [("type", "Mains"), ("online", "0")].as_slice());
        let on = ("AC", [("type", "Mains"), ("online", "1")].as_slice());
        let battery =
            |status, capacity| [("type", "Battery"), ("status", status), ("capacity", capacity)];
        let low = battery("Discharging", "20");
        let good = battery("Discharging", "21");
        let charging = battery("Charging", "5");
        assert_eq!(read(&[]), (None, None), "a desktop, or a container");
        assert_eq!(read(&[on]), (Some(false), None));
        assert_eq!(read(&[off, ("BAT0", &low)]), (Some(true), Some(true)));
        assert_eq!(read(&[off, ("BAT0", &good)]), (Some(true), Some(false)));
        assert_eq!(read(&[on, ("BAT0", &charging)]), (Some(false), Some(true)));
        assert_eq!(
            read(&[off, ("BAT0", &low), ("BAT1", &good)]),
            (Some(true), Some(false)),
            "two batteries"
        );
        assert_eq!(read(&[("BAT0", &good)]), (Some(true), Some(false)), "no charger is listed");
        let mouse = [
            ("type", "Battery"),
            ("scope", "Device"),
            ("status", "Discharging"),
            ("capacity", "3"),
        ];
        assert_eq!(read(&[("hidpp_battery_0", &mouse)]), (None, None));
        let odd = [("type", "Battery"), ("status", "Discharging"), ("capacity", "many")];
        assert_eq!(read(&[("BAT0", &odd), ("nothing", &[])]), (Some(true), None));
        assert_eq!(supplies::read(std::path::Path::new("/nowhere/at/all")), Conditions::default());
    }

    #[test]
    fn what_windows_says_of_power_and_network() {
        let expected = |on_battery, battery_low| Conditions {
            on_battery,
            battery_low,
            saver: Some(false),
            metered: None,
        };
        let power = power_status::power;
        assert_eq!(power(1, 255, 0), expected(Some(false), None), "a desktop");
        assert_eq!(power(0, 20, 0), expected(Some(true), Some(true)));
        assert_eq!(power(0, 21, 0), expected(Some(true), Some(false)));
        assert_eq!(power(255, 255, 0), expected(None, None));
        assert_eq!(power(0, 80, 1).saver, Some(true));
        let metered = power_status::metered;
        assert_eq!([metered(0), metered(0x1)], [None, Some(false)]);
        assert_eq!([metered(0x2), metered(0x4)], [Some(true); 2]);
        assert_eq!([metered(0x4_0001), metered(0x1_0001)], [Some(true); 2], "it roams");
        assert_eq!(metered(0x2_0001), Some(false), "congested costs nothing");
    }

    #[test]
    fn pmset_words() {
        let battery = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t17%; discharging; 1:02 remaining present: true\n";
        let mains = "Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t85%; charging; 0:40 remaining present: true\n";
        let settings = "System-wide power settings:\nCurrently in use:\n standby              1\n lowpowermode         1\n";
        let expected = |on_battery, battery_low, saver| Conditions {
            metered: None,
            on_battery,
            battery_low,
            saver,
        };
        assert_eq!(
            pmset::conditions(battery, settings),
            expected(Some(true), Some(true), Some(true))
        );
        assert_eq!(
            pmset::conditions(mains, " lowpowermode 0\n"),
            expected(Some(false), Some(false), Some(false))
        );
        assert_eq!(
            pmset::conditions("Now drawing from 'AC Power'\n", ""),
            expected(Some(false), None, None),
            "a desktop"
        );
        assert_eq!(pmset::conditions("", "nonsense % 7"), Conditions::default());
    }
}
