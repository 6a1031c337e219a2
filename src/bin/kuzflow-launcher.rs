//! What a desktop shortcut starts.
// A shortcut must not flash up a console window.
#![cfg_attr(windows, windows_subsystem = "windows")]

/// What `kuzflow package` knows this program by, whatever its file is called.
static STAMP: &str = concat!("kuzflow-program:[kuzflow-launcher ", env!("CARGO_PKG_VERSION"), "]");

fn main() -> std::process::ExitCode {
    // A linker leaves out what nobody uses.
    std::hint::black_box(STAMP);
    kuzflow::share_addresses();
    kuzflow::outlive_size_limits();
    kuzflow::attach_console();
    kuzflow::launcher_main().end_process()
}
