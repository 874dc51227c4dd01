//! A route is a template of the service's own, not a string made of the path.

use orderscope::Telemetry;
use orderscope::http::RequestHead;

fn main() {
    let telemetry = Telemetry::builder("orders").build().unwrap();
    let _layer = telemetry.tower_layer(|head: RequestHead<'_>| Some(head.path().to_owned()));
    let _layer = telemetry
        .http_layer()
        .route_by(|head: RequestHead<'_>| Some(format!("{}/{}", head.method(), head.path())));
}
