//! Runs one bug after another, and says of each what the telemetry made of it: a line of JSON with
//! its name, its fingerprint, and its stack; at the end, which groups there are. With the argument `when-told` it waits for the end of its
//! input first.

mod async_bugs;
mod database;
mod kitchen;
mod payments;

use orderscope::{
    Telemetry,
    export::{Destination, InMemory, ReceivedLog},
};
use serde_json::json;
use std::{env, io, panic, time::Duration};

type Bug = fn();

/// Each is another error to whoever acts on it.
const BUGS: [(&str, Bug); 22] = [
    ("unwrap of nothing", kitchen::burn),
    ("index beyond the end", kitchen::serve_table_nine),
    ("panic with words", kitchen::drop_the_tray),
    ("expectation in a generic function", kitchen::weigh_nothing),
    ("panic in a thread", kitchen::burn_elsewhere),
    ("error that is captured", payments::read_amount),
    ("error of another type there", payments::read_currency),
    ("error in a generic function", payments::refund_in_cents),
    ("error in a closure", payments::sum_up),
    ("error in another closure", payments::sum_up_again),
    ("error in a trait's method", payments::pay_by_card),
    ("error in another type's", payments::pay_in_cash),
    ("error in a destructor", payments::forget_receipt),
    ("error in a chain", payments::read_tip),
    ("error of a handler", payments::answer),
    ("error that is logged", payments::log),
    ("helper called by one", database::place_order),
    ("helper called by another", database::cancel_order),
    ("error in an async function", async_bugs::track_courier),
    ("error in another async function", async_bugs::track_order),
    ("error in a task", async_bugs::bake),
    (
        "error in another task, at the same column",
        async_bugs::grill,
    ),
];

fn main() {
    if env::args()
        .nth(1)
        .is_some_and(|argument| argument == "when-told")
    {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
    }
    // Nothing is to be read of what panics by intent.
    panic::set_hook(Box::new(|_| ()));
    let backend = InMemory::new();
    let telemetry = Telemetry::builder("bugs")
        .destination(Destination::in_memory("memory", &backend))
        .install()
        .expect("the only one");
    for (name, bug) in BUGS {
        let before = errors(&backend).len();
        let _ = panic::catch_unwind(bug);
        telemetry.flush_blocking(Duration::from_secs(10));
        let errors = errors(&backend);
        let says = |attribute| {
            let value = errors.last().and_then(|log| log.attribute(attribute));
            value.and_then(|value| value.as_str()).unwrap_or_default()
        };
        let told = json!({
            "bug": name,
            "records": errors.len() - before,
            "type": says("exception.type"),
            "fingerprint": says("orderscope.error.fingerprint"),
            "function": says("code.function.name"),
            "source": says("orderscope.error.source"),
            "stack": says("exception.stacktrace"),
        });
        println!("{told}");
    }
    let snapshot = telemetry.snapshot();
    let groups = snapshot.error_groups().iter();
    let groups: Vec<&str> = groups.map(|group| group.fingerprint.as_str()).collect();
    println!("{}", json!({ "groups": groups }));
}

fn errors(backend: &InMemory) -> Vec<ReceivedLog> {
    let logs = backend.logs().into_iter();
    logs.filter(|log| log.event_name == "exception").collect()
}
