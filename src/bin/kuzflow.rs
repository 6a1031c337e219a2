//! The publisher's and operator's tool.

/// What `kuzflow package` knows this program by, whatever its file is called.
static STAMP: &str = concat!("kuzflow-program:[kuzflow ", env!("CARGO_PKG_VERSION"), "]");

fn main() -> std::process::ExitCode {
    // A linker leaves out what nobody uses.
    std::hint::black_box(STAMP);
    kuzflow::outlive_size_limits();
    kuzflow::publisher_main().end_process()
}
