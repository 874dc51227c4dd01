//! Errors after an await.

use orderscope::capture_error;
use std::{hint::black_box, io, time::Duration};

fn timed_out() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}

async fn where_is_the_courier() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    capture_error(&timed_out());
    black_box(1)
}

async fn where_is_the_order() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    if black_box(true) {
        capture_error(&timed_out());
    }
    black_box(2)
}

fn run(future: impl Future<Output = u32>) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().expect("a runtime");
    black_box(runtime.block_on(future));
}

pub fn track_courier() {
    run(async { where_is_the_courier().await + 1 });
}

pub fn track_order() {
    run(async { where_is_the_order().await + 1 });
}
