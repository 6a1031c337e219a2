//! Exit codes of processes: what they say about the end.
//!
//! In: a code, as the system's own shell shows it. On Unix that is the status, or 128 and the
//! signal's number; on Windows it has four bytes. Out: the kind of end. Never: asks the system.

use std::fmt;

/// Codes on Unix that are a signal's number plus 128: Linux has signals up to 64. `exit(-1)` is 255.
const SIGNALS: std::ops::RangeInclusive<u32> = 128 + 1..=128 + 64;
/// Windows' exceptions: codes of the system (`0xC0000005`, an access violation), of C++
/// (`0xE06D7363`) and of .NET (`0xE0434352`). A program that ends with a small negative number is
/// above them.
const EXCEPTIONS: std::ops::RangeInclusive<u32> = 0xC000_0000..=0xEFFF_FFFF;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessEnd {
    /// By itself, with this status.
    Status(u32),
    /// Unix: a signal ended it.
    Signal(u32),
    /// Windows: an exception ended it.
    Exception(u32),
}

impl ProcessEnd {
    /// What a code of this system says.
    pub(crate) fn of(code: u32) -> Self {
        Self::on(cfg!(windows), code)
    }

    fn on(windows: bool, code: u32) -> Self {
        match code {
            _ if windows && EXCEPTIONS.contains(&code) => Self::Exception(code),
            _ if !windows && SIGNALS.contains(&code) => Self::Signal(code - 128),
            _ => Self::Status(code),
        }
    }

    /// Whether the program did not choose this end.
    pub(crate) fn is_crash(self) -> bool {
        !matches!(self, Self::Status(_))
    }
}

/// In English, for logs and details.
impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
            Self::Exception(code) => write!(f, "ended by exception 0x{code:08X}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_own_codes() {
        let kinds = |code| [false, true].map(|windows| ProcessEnd::on(windows, code));
        assert_eq!([2, 255].map(kinds), [2, 255].map(|code| [ProcessEnd::Status(code); 2]));
        assert_eq!(kinds(139), [ProcessEnd::Signal(11), ProcessEnd::Status(139)]);
        for exception in [0xC000_0005, 0xC000_0100, 0xE06D_7363] {
            assert_eq!(ProcessEnd::on(true, exception), ProcessEnd::Exception(exception));
        }
        assert_eq!(ProcessEnd::on(true, 256), ProcessEnd::Status(256), "its last byte is 0");
        let minus_one = (-1_i32).cast_unsigned();
        assert_eq!(ProcessEnd::on(true, minus_one), ProcessEnd::Status(minus_one));
        assert_eq!(ProcessEnd::Exception(0xC000_0005).to_string(), "ended by exception 0xC0000005");
    }
}
