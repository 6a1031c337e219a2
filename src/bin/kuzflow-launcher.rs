//! What a desktop shortcut starts.

fn main() -> std::process::ExitCode {
    kuzflow::cli::launcher::main().into()
}
