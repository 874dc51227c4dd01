//! What the process is asked while it runs, a line each:
//!
//! | line | answer |
//! | --- | --- |
//! | `ledger` | the ledger's rows, and what was issued |
//! | `heap` | bytes that are allocated, in all arenas of glibc |
//! | `probe` | the id of an event that was recorded for it |
//! | `quiet` | what was issued, once the load has come to its end |
//! | `flush` | whether all that was recorded is through, within the deadline of shutdown |
//! | `stop` | the report; so at the end of the input |

use crate::{
    load::{Issued, Load},
    report,
};
use orderscope::{Telemetry, track_event};
use serde_json::{Value, json};
use std::{io, sync::Arc, thread, time::Duration};

const FLUSH_WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn listen(telemetry: Option<Telemetry>, load: Arc<Load>, issued: Arc<Issued>) {
    thread::spawn(move || {
        for line in io::stdin().lines() {
            let Ok(line) = line else { break };
            match answer(line.trim(), telemetry.as_ref(), &load, &issued) {
                Some(answer) => println!("{answer}"),
                None => break,
            }
        }
        // SAFETY: no memory is involved.
        unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
    });
}

fn answer(
    command: &str,
    telemetry: Option<&Telemetry>,
    load: &Load,
    issued: &Issued,
) -> Option<Value> {
    Some(match (command, telemetry) {
        ("ledger", Some(telemetry)) => {
            let rows = telemetry.ledger();
            json!({ "ledger": report::ledger(&rows), "issued": issued.to_json() })
        }
        ("heap", _) => json!({ "heap": heap() }),
        ("probe", Some(_)) => {
            let id = issued.next_event();
            track_event!("probe", id = id);
            json!({ "probe": id })
        }
        ("quiet", _) => {
            load.ended_early();
            json!({ "quiet": issued.to_json() })
        }
        ("flush", Some(telemetry)) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            let runtime = runtime.expect("a runtime starts");
            json!({ "flushed": runtime.block_on(telemetry.flush(FLUSH_WITHIN)) })
        }
        ("stop", _) => return None,
        _ => json!({ "unknown": command }),
    })
}

/// What is allocated, and not what the allocator keeps of what was freed.
fn heap() -> usize {
    // SAFETY: it reads what the allocator counts, under the allocator's locks.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}
