//! The publisher's and operator's tool.

fn main() -> std::process::ExitCode {
    kuzflow::publisher_main().end_process()
}
