//! What leads to an order, and where customers turn back.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    time::Duration,
};

use orderscope::{
    events::{
        CartItemAdded, CartViewed, CheckoutStarted, Funnel, OrderPlaced, PaymentSucceeded, Subject,
    },
    snapshot::{self, Snapshot},
};
use serde::Serialize;

/// The funnels that the platform declares.
pub(crate) fn declared() -> [Funnel; 2] {
    // Guests fill carts too, so it is the cart that is followed until somebody has logged in.
    let basket = Funnel::new("basket")
        .step(CartItemAdded::NAME)
        .step(CartViewed::NAME)
        .step(CheckoutStarted::NAME)
        .followed_by(Subject::Property("cart_id".to_owned()));
    let checkout = Funnel::new("checkout")
        .step(CheckoutStarted::NAME)
        .step(PaymentSucceeded::NAME)
        .step(OrderPlaced::NAME)
        .within(Duration::from_secs(5 * 60));
    // One process tells its events in order, and the summary is not to wait.
    [basket, checkout].map(|funnel| funnel.lateness(Duration::ZERO))
}

#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Funnels(BTreeMap<String, Counts>);

#[derive(Serialize)]
struct Counts {
    attempts: u64,
    open: u64,
    converted: u64,
    abandoned: u64,
    excluded: u64,
    steps: BTreeMap<String, u64>,
}

impl Funnels {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let counted = |funnel: snapshot::Funnel| {
            let steps = funnel.steps.into_iter();
            let counts = Counts {
                attempts: funnel.attempts,
                open: funnel.open,
                converted: funnel.converted,
                abandoned: funnel.abandoned,
                excluded: funnel.excluded,
                steps: steps.map(|step| (step.event, step.reached)).collect(),
            };
            (funnel.name, counts)
        };
        Self(snapshot.funnels().into_iter().map(counted).collect())
    }
}

impl Display for Funnels {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, counts) in &self.0 {
            let Counts {
                attempts,
                open,
                converted,
                abandoned,
                ..
            } = counts;
            writeln!(
                f,
                "funnel {name}: {attempts} attempts, {converted} converted, {abandoned} abandoned, {open} open"
            )?;
            for (event, reached) in &counts.steps {
                writeln!(f, "  {reached:>6}  {event}")?;
            }
        }
        Ok(())
    }
}
