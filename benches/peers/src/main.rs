//! What one request, one log record, one event and one error cost, under orderscope and under what
//! else does the same:
//!
//!     cargo run --release --manifest-path benches/peers/Cargo.toml -- [--quick] [--threads N [--beside-bare]] [--date DAY] [NAME…]
//!     cargo run --release --manifest-path benches/peers/Cargo.toml -- --load [--quick] [--date DAY]
//!
//! Prints Markdown. A NAME picks the rows whose key contains it. With `--threads 2` requests are served on two
//! threads at once, each of which does its share of a turn; operations are left out. With `--beside-bare` all but
//! the measured one serve the bare router: then the CPU of the thread alone means something.
//!
//! Each row is measured in a process of its own, since subscribers, recorders and panic hooks are
//! the process's. A request's variant takes turns with the bare router there, in short rounds, so
//! that whatever else the machine does hits both alike; a figure is the median, over the rounds, of
//! the difference. After each turn the telemetry is flushed: the wall clock has stopped by then, the
//! clock of the CPU has not, so that work put off onto other threads counts.

mod allocator;
mod arguments;
mod assembly;
mod encoded;
mod errors;
mod instruments;
mod json_line;
mod layers;
mod load;
mod logfire;
mod machine;
mod operations;
mod orders;
mod ours;
mod requests;
mod rounds;
mod sentry_client;
mod sinks;
mod stack;
mod table;

use arguments::Arguments;
use rounds::Measured;
use std::{
    env,
    process::{Command, ExitCode, Stdio},
};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("peers: {message}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Some(threads) = arguments.threads {
        let _ = orders::THREADS.set(threads);
    }
    let _ = orders::IS_BESIDE_BARE.set(arguments.is_beside_bare);
    match &arguments.measure {
        Some(key) => measure(key, arguments.is_quick),
        None => print(&arguments),
    }
    ExitCode::SUCCESS
}

/// One row, in this process.
fn measure(key: &str, is_quick: bool) {
    if let load::OURS | load::ASSEMBLY = key {
        return load::measure(key, is_quick);
    }
    let request = requests::ALL.iter().find(|variant| variant.key == key);
    let operation = operations::all().find(|operation| operation.key == key);
    let measured = match (request, operation) {
        (Some(variant), _) => variant.measure(is_quick),
        (_, Some(operation)) => operation.measure(is_quick),
        (None, None) => panic!("no row is called {key}"),
    };
    println!("{measured}");
}

/// All rows, each in a process of its own.
fn print(arguments: &Arguments) {
    println!("{}", machine::line(arguments.date.as_deref()));
    if arguments.is_load {
        for whose in [load::OURS, load::ASSEMBLY] {
            print!("{}", said_by_a_process_of_its_own(whose, arguments));
        }
        println!("\nLoad at the end: {}.", machine::load());
        return;
    }
    let rows: Vec<_> = requests::ALL
        .iter()
        .filter(|variant| arguments.picks(variant.key))
        .map(|variant| (variant, in_a_process_of_its_own(variant.key, arguments)))
        .collect();
    print!("{}", table::requests(&rows));
    if arguments.threads.is_some_and(|threads| threads > 1) {
        return;
    }
    let rows: Vec<_> = operations::all()
        .filter(|operation| arguments.picks(operation.key))
        .map(|operation| (operation, in_a_process_of_its_own(operation.key, arguments)))
        .collect();
    print!("{}", table::operations(&rows));
    println!("\nLoad at the end: {}.", machine::load());
}

fn in_a_process_of_its_own(key: &str, arguments: &Arguments) -> Measured {
    let said = said_by_a_process_of_its_own(key, arguments);
    let last = said.lines().last().unwrap_or_default();
    last.parse()
        .unwrap_or_else(|error| panic!("{key} printed {last:?}: {error}"))
}

fn said_by_a_process_of_its_own(key: &str, arguments: &Arguments) -> String {
    eprintln!("peers: {key}");
    let program = env::current_exe().unwrap_or_else(|error| panic!("no path to myself: {error}"));
    let mut command = Command::new(program);
    command.args(["--measure", key]);
    if arguments.is_quick {
        command.arg("--quick");
    }
    if let Some(threads) = arguments.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    if arguments.is_beside_bare {
        command.arg("--beside-bare");
    }
    // No RUST_LOG and no OTEL_… of the caller's has a say.
    let output = command.env_clear().stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| panic!("{key} does not start: {error}"));
    assert!(output.status.success(), "{key} failed: {}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
