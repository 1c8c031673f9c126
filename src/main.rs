//! Arguments in, exit code out.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    icechatd::cli::main().into()
}
