//! Times are `Duration`s: a number does not say of what.

use orderscope::Telemetry;

async fn run(telemetry: Telemetry) {
    let _layer = telemetry.http_layer().timeout(2_000);
    let _report = telemetry.shutdown(5).await;
}

fn main() {
    let _ = run;
}
