//! Counts who comes from a cart to an order, and where the others turn back.
//!
//! ```sh
//! cargo run --example count_a_funnel
//! ```
//!
//! Business code tracks what happens; that some of it makes a funnel is declared beside the telemetry.

#![allow(
    clippy::print_stdout,
    reason = "a program that talks to whoever started it"
)]

use std::{error::Error, time::Duration};

use orderscope::{
    Telemetry,
    events::{CartViewed, CheckoutStarted, Funnel, OrderCancelled, OrderPlaced, Subject},
    track_event,
};

fn main() -> Result<(), Box<dyn Error>> {
    let checkout = Funnel::new("checkout")
        .step(CartViewed::NAME)
        .step(CheckoutStarted::NAME)
        .step(OrderPlaced::NAME)
        .excluding(OrderCancelled::NAME)
        .within(Duration::from_millis(200))
        .lateness(Duration::ZERO) // one process tells its events in order
        .followed_by(Subject::Property("cart_id".to_owned()));
    let telemetry = Telemetry::builder("orders").funnel(checkout).install()?;

    // Of a hundred carts all are looked at, every second one goes to the checkout, and of these every
    // fifth becomes an order. A service calls these where they happen; `track_event(CartViewed { … })`
    // does the same with the fields that the vocabulary has.
    for cart_id in 0..100 {
        track_event!("cart_viewed", cart_id);
        if cart_id % 2 == 0 {
            track_event!("checkout_started", cart_id);
        }
        if cart_id % 10 == 0 {
            track_event!("order_placed", cart_id);
        }
    }

    std::thread::sleep(Duration::from_millis(500)); // until the window has ended
    for funnel in telemetry.snapshot().funnels() {
        println!("{}: {} attempts", funnel.name, funnel.attempts);
        for step in &funnel.steps {
            let (event, reached, lost) = (&step.event, step.reached, step.abandoned);
            println!("  {reached:>4} came to {event}, {lost} of them no further");
        }
        let abandoned = funnel.abandonment_rate().unwrap_or_default();
        println!("  {:.0} % abandoned", abandoned * 100.0);
    }
    println!("{}", telemetry.shutdown_blocking(Duration::from_secs(1)));
    Ok(())
}
