//! The publisher's and operator's tool.

fn main() -> std::process::ExitCode {
    kuzflow::cli::publisher::main().into()
}
