//! Whether this program may do more than the user whose files it works on.
//!
//! In: a folder. Out: yes or no. Never: changes any rights.

use std::path::Path;

/// Whether this program runs as an administrator and `folder` is another user's. A folder that is
/// not there, or that cannot be looked at, is nobody's.
#[cfg(unix)]
pub(crate) fn has_more_rights_than_owner(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid();
    let is_not_its_own = |found: std::fs::Metadata| found.uid() != user.as_raw();
    user.is_root() && std::fs::metadata(folder).is_ok_and(is_not_its_own)
}

/// Whether this program runs with rights of an administrator that its user had to confirm. Where
/// nobody has to (user account control is off), the user's programs have them anyway.
#[cfg(windows)]
pub(crate) fn has_more_rights_than_owner(_folder: &Path) -> bool {
    const POLICIES: &str = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System";
    let control = windows_registry::LOCAL_MACHINE
        .open(POLICIES)
        .and_then(|policies| policies.get_u32("EnableLUA"));
    control.is_ok_and(|is_on| is_on != 0) && is_elevated()
}

/// Whether the rights of this program were raised above its user's usual ones.
#[cfg(windows)]
#[allow(unsafe_code)]
fn is_elevated() -> bool {
    use windows_sys::Win32::Foundation::{CloseHandle, HANDLE};
    use windows_sys::Win32::Security::{
        GetTokenInformation, TOKEN_ELEVATION_TYPE, TOKEN_QUERY, TokenElevationType,
        TokenElevationTypeFull,
    };
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
    let mut token: HANDLE = std::ptr::null_mut();
    let mut kind: TOKEN_ELEVATION_TYPE = 0;
    let Ok(size) = u32::try_from(size_of::<TOKEN_ELEVATION_TYPE>()) else { return false };
    let mut written = 0;
    // SAFETY: each call writes to a value of the size that it is told; the token is closed once.
    unsafe {
        if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) == 0 {
            return false;
        }
        let known = GetTokenInformation(
            token,
            TokenElevationType,
            (&raw mut kind).cast(),
            size,
            &raw mut written,
        );
        CloseHandle(token);
        known != 0 && kind == TokenElevationTypeFull
    }
}
