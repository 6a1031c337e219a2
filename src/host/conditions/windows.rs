//! Power and network by calls that each Windows since 8 answers. The runtime's own classes for them
//! are absent where Windows is stripped, and each question for one then fills the error output.

use windows::Win32::Networking::NetworkListManager::{INetworkCostManager, NetworkListManager};
use windows::Win32::System::Com::{
    CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoUninitialize,
};
use windows_sys::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};

use super::{Conditions, SYSTEM_TIMEOUT, power_status};
use crate::host::in_time;

pub(super) fn conditions() -> Conditions {
    in_time(SYSTEM_TIMEOUT, || {
        let cost = network_cost().ok();
        Conditions { metered: cost.and_then(power_status::metered), ..power() }
    })
    .unwrap_or_default()
}

fn power() -> Conditions {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: the status is written to the address of a record of its kind.
    #[allow(unsafe_code)]
    let answered = unsafe { GetSystemPowerStatus(&raw mut status) } != 0;
    if answered {
        power_status::power(status.ACLineStatus, status.BatteryLifePercent, status.SystemStatusFlag)
    } else {
        Conditions::default()
    }
}

/// The cost of the connection to the internet, in the system's own form.
fn network_cost() -> windows::core::Result<u32> {
    // SAFETY: this thread is one of its own (`in_time`), and uses COM in this function only; the
    // interface is released before COM is. The cost is written to the address of a number, and no
    // address stands for the connection to the internet.
    #[allow(unsafe_code)]
    unsafe {
        CoInitializeEx(None, COINIT_MULTITHREADED).ok()?;
        let ask = || -> windows::core::Result<u32> {
            let manager: INetworkCostManager =
                CoCreateInstance(&NetworkListManager, None, CLSCTX_ALL)?;
            let mut cost = 0;
            manager.GetCost(&raw mut cost, std::ptr::null())?;
            Ok(cost)
        };
        let cost = ask();
        CoUninitialize();
        cost
    }
}
