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
use serde::{Deserialize, Serialize};

/// The funnels that the platform declares.
pub(crate) fn declared(lateness: Duration) -> [Funnel; 2] {
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
    [basket, checkout].map(|funnel| funnel.lateness(lateness))
}

#[derive(Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Funnels(BTreeMap<String, Counts>);

#[derive(Default, Deserialize, Serialize)]
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

    /// Adds another replica's: whatever happens to an attempt, one of them counts it.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, counts) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            sum.attempts += counts.attempts;
            sum.open += counts.open;
            sum.converted += counts.converted;
            sum.abandoned += counts.abandoned;
            sum.excluded += counts.excluded;
            for (event, reached) in &counts.steps {
                *sum.steps.entry(event.clone()).or_default() += reached;
            }
        }
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
