//! What a desktop shortcut starts.
// A shortcut must not flash up a console window.
#![cfg_attr(windows, windows_subsystem = "windows")]

fn main() -> std::process::ExitCode {
    kuzflow::host::attach_console();
    kuzflow::cli::launcher::main().into()
}
