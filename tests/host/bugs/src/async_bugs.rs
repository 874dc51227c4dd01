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

async fn warm_the_oven() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    capture_error(&timed_out());
    black_box(3)
}

async fn light_the_grill() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    capture_error(&timed_out());
    black_box(4)
}

/// On a thread whose stack has nothing else of the program's, as a service's handlers run.
fn on_a_worker(future: impl Future<Output = u32> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(1).enable_time().build();
    let runtime = runtime.expect("a runtime");
    let task = runtime.spawn(future);
    black_box(runtime.block_on(task).expect("it does not panic"));
}

pub fn bake() {
    on_a_worker(warm_the_oven());
}

pub fn grill() {
    on_a_worker(light_the_grill());
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
