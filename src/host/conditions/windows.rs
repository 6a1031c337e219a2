//! Power and network by calls that each Windows since 8 answers. The runtime's own classes for them
//! are absent where Windows is stripped, and each question for one then fills the error output.
//!
//! In: nothing. Out: the system's own numbers. Never: says what they mean.

use windows::Win32::Networking::NetworkListManager::{INetworkCostManager, NetworkListManager};
use windows::Win32::System::Com::{
    CLSCTX_ALL, COINIT_MULTITHREADED, CoCreateInstance, CoInitializeEx, CoUninitialize,
};
use windows_sys::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};

/// The power status, if the system has one.
pub(super) fn power_status() -> Option<SYSTEM_POWER_STATUS> {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: the status is written to the address of a record of its kind.
    #[allow(unsafe_code)]
    let answered = unsafe { GetSystemPowerStatus(&raw mut status) } != 0;
    answered.then_some(status)
}

/// The cost of the connection to the internet, an `NLM_CONNECTION_COST`. To be called on a thread
/// that uses COM for nothing else.
pub(super) fn network_cost() -> windows::core::Result<u32> {
    // SAFETY: the interface is released before COM is. The cost is written to the address of a
    // number, and no address stands for the connection to the internet.
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
