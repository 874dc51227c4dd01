//! The platform's visitors: who comes, and when.

use std::time::Duration;

use fastrand::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    client::Client,
    couriers::{self, Shift},
    customers,
    deadline::Deadline,
    journeys::{Journey, Mishap, exponential},
    strangers::{self, Scan, Vanishing},
};

/// Visitors of every kind, arriving at random.
pub(crate) struct Traffic {
    pub(crate) client: Client,
    /// Requests per second to aim at; 0 for no visitors at all.
    pub(crate) rate: f64,
    pub(crate) seed: u64,
    pub(crate) leaving: Deadline,
}

#[derive(Clone, Copy)]
enum Visitor {
    Customer,
    Unlucky(Mishap),
    Courier,
    Scanner,
    Vanishing(Vanishing),
}

enum Visit {
    Journey(Journey),
    Shift(Shift),
    Scan(Scan),
    Vanishing(Vanishing),
}

impl Traffic {
    /// Sends visitors until it is time to leave, then waits for them to go.
    pub(crate) async fn run(self) {
        let mut rng = Rng::with_seed(self.seed);
        let mut deck = Vec::new();
        let mut visitors = JoinSet::new();
        let mut next = Instant::now();
        while self.rate > 0.0 && !self.leaving.has_passed() {
            let visitor = deck.pop().unwrap_or_else(|| {
                deck = shuffled_deck(&mut rng);
                Visitor::Customer
            });
            // Each visitor decides by a generator of its own, so that its decisions do not hang
            // on when the others arrive.
            let visit = visitor.plan(&mut rng.fork());
            let gap = exponential(visit.requests() / self.rate, &mut rng);
            visitors.spawn(visit.make(self.client.clone(), self.leaving.clone()));

            next = (next + Duration::from_secs_f64(gap)).max(Instant::now() - LARGEST_LAG);
            tokio::select! {
                () = self.leaving.passed() => {}
                () = sleep_until(next) => {}
            }
            while visitors.try_join_next().is_some() {}
            if visitors.len() >= MOST_VISITORS {
                visitors.join_next().await;
            }
        }
        self.leaving.passed().await;
        let empty = async { while visitors.join_next().await.is_some() {} };
        // Who is still here after that is shut out when the set drops.
        let _ = timeout(LEAVING_GRACE, empty).await;
    }
}

impl Visitor {
    fn plan(self, rng: &mut Rng) -> Visit {
        match self {
            Self::Customer => Visit::Journey(Journey::ordinary(rng)),
            Self::Unlucky(mishap) => Visit::Journey(Journey::to(mishap, rng)),
            Self::Courier => Visit::Shift(Shift::draw(rng)),
            Self::Scanner => Visit::Scan(Scan::draw(rng)),
            Self::Vanishing(moment) => Visit::Vanishing(moment),
        }
    }
}

impl Visit {
    /// How many requests the visit makes if nothing cuts it short.
    fn requests(&self) -> f64 {
        let requests = match self {
            Self::Journey(journey) => journey.steps.len(),
            Self::Scan(scan) => scan.probes.len(),
            Self::Shift(_) | Self::Vanishing(_) => 1,
        };
        u32::try_from(requests).map_or(f64::MAX, f64::from)
    }

    async fn make(self, client: Client, leaving: Deadline) {
        match self {
            Self::Journey(journey) => customers::visit(client, journey, leaving).await,
            Self::Shift(shift) => couriers::work(client.next_address(), shift, leaving).await,
            Self::Scan(scan) => strangers::scan(client, scan, leaving).await,
            Self::Vanishing(moment) => strangers::vanish(client.next_address(), moment).await,
        }
    }
}

/// Forty visitors in a random order. What is rare is dealt, not diced, so that even a short run
/// meets each kind of failure.
fn shuffled_deck(rng: &mut Rng) -> Vec<Visitor> {
    let mut deck = vec![
        Visitor::Unlucky(Mishap::BrokenCoupon),
        Visitor::Unlucky(Mishap::SilentBank),
        Visitor::Unlucky(Mishap::BankAway),
        Visitor::Unlucky(Mishap::BrokenConnection),
        Visitor::Unlucky(Mishap::DoubleTap),
        Visitor::Unlucky(Mishap::FavoriteTwice),
        Visitor::Unlucky(Mishap::SpoiltBooks),
        Visitor::Vanishing(Vanishing::InHead),
        Visitor::Vanishing(Vanishing::InBody),
        Visitor::Vanishing(Vanishing::BeforeAnswer),
        Visitor::Vanishing(Vanishing::InAnswer),
        Visitor::Courier,
        Visitor::Courier,
        Visitor::Scanner,
        Visitor::Scanner,
        Visitor::Scanner,
    ];
    deck.resize(40, Visitor::Customer);
    rng.shuffle(&mut deck);
    deck
}

/// No more visitors than this at once; each holds a socket or two.
const MOST_VISITORS: usize = 400;

/// How long the visitors may take to leave.
const LEAVING_GRACE: Duration = Duration::from_secs(5);

/// Arrivals that fell behind by more than this are not made up for.
const LARGEST_LAG: Duration = Duration::from_secs(1);
