//! What a desktop shortcut starts.
// A shortcut must not flash up a console window.
#![cfg_attr(windows, windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    kuzflow::share_addresses();
    kuzflow::outlive_size_limits();
    kuzflow::attach_console();
    kuzflow::launcher_main().end_process()
}
