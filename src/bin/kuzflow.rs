//! The publisher's and operator's tool.

fn main() -> std::process::ExitCode {
    kuzflow::outlive_size_limits();
    kuzflow::publisher_main().end_process()
}
