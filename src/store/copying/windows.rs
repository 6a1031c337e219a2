//! Files with holes, by Windows' own calls.
//!
//! In: a file. Out: how many bytes it has on disk; a copy that may have holes. Never: an error: a
//! file system without holes is copied as it is.

use std::fs::File;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::AsRawHandle as _;
use std::path::Path;
use std::ptr;

use windows_sys::Win32::Foundation::{GetLastError, NO_ERROR, SetLastError};
use windows_sys::Win32::Storage::FileSystem::{GetCompressedFileSizeW, INVALID_FILE_SIZE};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

/// Bytes on disk of a file; `None` if the system cannot say.
pub(super) fn allocated(path: &Path) -> Option<u64> {
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut high = 0;
    // SAFETY: the name ends with a zero, and the upper half is written to the address of a number.
    #[allow(unsafe_code)]
    let (low, error) = unsafe {
        SetLastError(NO_ERROR);
        (GetCompressedFileSizeW(name.as_ptr(), &raw mut high), GetLastError())
    };
    let failed = low == INVALID_FILE_SIZE && error != NO_ERROR;
    (!failed).then(|| u64::from(high) << 32 | u64::from(low))
}

/// Lets an empty file have holes; without effect on a file system that knows none.
pub(super) fn allow_holes(file: &File) {
    let mut written = 0;
    // SAFETY: the handle is alive; this call takes and gives no bytes but their number.
    #[allow(unsafe_code)]
    unsafe {
        DeviceIoControl(
            file.as_raw_handle(),
            FSCTL_SET_SPARSE,
            ptr::null(),
            0,
            ptr::null_mut(),
            0,
            &raw mut written,
            ptr::null_mut(),
        );
    }
}
