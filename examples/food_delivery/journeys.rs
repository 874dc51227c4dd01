//! What a customer will do, drawn from the seed before the visit begins: a walk through states,
//! each step with the time to think before it.

use std::time::Duration;

use fastrand::Rng;

use crate::{
    database::{BROKEN_COUPON, COUPON, CUSTOMERS, RESTAURANTS, SPOILT_BOOKS},
    payments::{CARD_OF_A_BANK_THAT_IS_AWAY, CARD_THAT_BREAKS_THE_CONNECTION, DECLINED_CARD},
};

/// A customer and the steps of one visit.
pub(crate) struct Journey {
    pub(crate) customer: i64,
    pub(crate) steps: Vec<(Duration, Step)>,
}

/// One thing that a customer does; each is one request.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    ListRestaurants,
    ReadMenu {
        restaurant: i64,
    },
    /// Looks at one of the dishes seen so far.
    ViewDish {
        choice: usize,
    },
    Search {
        text: &'static str,
    },
    ExportSales {
        restaurant: i64,
    },
    OpenCart,
    /// Adds one of the dishes seen so far.
    AddItem {
        choice: usize,
        quantity: u8,
    },
    ViewCart,
    LogIn {
        mistyped: bool,
    },
    /// Keeps one of the dishes seen so far for another day.
    AddFavorite {
        choice: usize,
    },
    PlaceOrder {
        coupon: Option<&'static str>,
        payment: &'static str,
    },
    /// Without a card, by the customer's bank.
    Pay {
        card: Option<&'static str>,
    },
    LookAtOrder,
    /// Follows the order to its delivery, or only for a while.
    Track {
        at_most: Option<Duration>,
    },
}

/// What goes wrong on a visit that is made for it.
#[derive(Clone, Copy)]
pub(crate) enum Mishap {
    BrokenCoupon,
    SilentBank,
    BankAway,
    BrokenConnection,
    /// The customer taps twice on what pays.
    DoubleTap,
    FavoriteTwice,
    SpoiltBooks,
}

#[derive(Clone, Copy)]
enum State {
    Arriving,
    Browsing,
    Choosing,
    Filling,
    Reviewing,
    LoggingIn,
    Ordering,
    Paying,
    Waiting,
}

impl Journey {
    /// A visit as most are: chance decides how far it gets.
    pub(crate) fn ordinary(rng: &mut Rng) -> Self {
        let mut steps = Vec::new();
        let mut state = Some(State::Arriving);
        while let Some((step, next)) = state.and_then(|state| state.leave(rng)) {
            steps.push((thought(rng), step));
            state = next.filter(|_| steps.len() < LONGEST_JOURNEY);
        }
        Self::of_anyone(steps, rng)
    }

    /// The shortest way to a mishap.
    pub(crate) fn to(mishap: Mishap, rng: &mut Rng) -> Self {
        let restaurant = rng.i64(1..=RESTAURANTS);
        let shopping = [
            Step::ReadMenu { restaurant },
            Step::OpenCart,
            Step::AddItem {
                choice: 0,
                quantity: 1,
            },
            Step::LogIn { mistyped: false },
        ];
        let order = |coupon, payment| Step::PlaceOrder { coupon, payment };
        let by_card = |card| vec![order(None, "card"), Step::Pay { card: Some(card) }];
        let end = match mishap {
            Mishap::BrokenCoupon => vec![order(Some(BROKEN_COUPON), "card")],
            Mishap::SilentBank => vec![order(None, "bank"), Step::Pay { card: None }],
            Mishap::BankAway => by_card(CARD_OF_A_BANK_THAT_IS_AWAY),
            Mishap::BrokenConnection => by_card(CARD_THAT_BREAKS_THE_CONNECTION),
            Mishap::DoubleTap => [by_card(CARD), vec![Step::Pay { card: Some(CARD) }]].concat(),
            Mishap::FavoriteTwice => vec![Step::AddFavorite { choice: 1 }; 2],
            Mishap::SpoiltBooks => {
                let export = Step::ExportSales {
                    restaurant: SPOILT_BOOKS,
                };
                return Self::of_anyone(vec![(thought(rng), export)], rng);
            }
        };
        let steps = [&shopping[..], &end].concat();
        let steps = steps.into_iter().map(|step| (thought(rng), step)).collect();
        Self::of_anyone(steps, rng)
    }

    fn of_anyone(steps: Vec<(Duration, Step)>, rng: &mut Rng) -> Self {
        let customer = rng.i64(1..=CUSTOMERS);
        Self { customer, steps }
    }
}

impl State {
    /// The step out of this state and the state it leads to; nothing if the customer goes.
    fn leave(self, rng: &mut Rng) -> Option<(Step, Option<Self>)> {
        let chance = rng.u8(..100);
        let (step, next) = match self {
            Self::Arriving => (Step::ListRestaurants, Self::Browsing),
            Self::Browsing => match chance {
                ..50 => (read_menu(rng), Self::Choosing),
                50..75 => (search(rng), Self::Choosing),
                75..82 => (export(rng), Self::Browsing),
                82..90 => (Step::ListRestaurants, Self::Browsing),
                _ => return None,
            },
            Self::Choosing => match chance {
                ..45 => (Step::OpenCart, Self::Filling),
                45..70 => (view_dish(rng), Self::Choosing),
                70..90 => (read_menu(rng), Self::Choosing),
                _ => return None,
            },
            Self::Filling => match chance {
                ..55 => (add_item(rng), Self::Filling),
                55..85 => (add_item(rng), Self::Reviewing),
                // The abandoned cart.
                _ => return None,
            },
            Self::Reviewing => match chance {
                ..90 => (Step::ViewCart, Self::LoggingIn),
                _ => return None,
            },
            Self::LoggingIn => {
                let mistyped = chance < 15;
                let next = if mistyped { self } else { Self::Ordering };
                (Step::LogIn { mistyped }, next)
            }
            Self::Ordering => {
                let coupon = (chance < 20).then_some(COUPON);
                let payment = if rng.u8(..4) == 0 { "cash" } else { "card" };
                (Step::PlaceOrder { coupon, payment }, Self::Paying)
            }
            Self::Paying => match chance {
                ..80 => (Step::Pay { card: Some(CARD) }, Self::Waiting),
                80..95 => {
                    let card = Some(DECLINED_CARD);
                    (Step::Pay { card }, Self::Paying)
                }
                _ => return None,
            },
            Self::Waiting => match chance {
                ..30 => (Step::LookAtOrder, Self::Waiting),
                30..40 => (add_favorite(rng), Self::Waiting),
                40..70 => return Some((Step::Track { at_most: None }, None)),
                70..85 => {
                    let at_most = Some(Duration::from_millis(rng.u64(100..900)));
                    return Some((Step::Track { at_most }, None));
                }
                _ => return None,
            },
        };
        Some((step, Some(next)))
    }
}

/// A time with an exponential distribution, as the times between independent events have.
pub(crate) fn exponential(mean: f64, rng: &mut Rng) -> f64 {
    -mean * (1.0 - rng.f64()).ln()
}

fn thought(rng: &mut Rng) -> Duration {
    Duration::from_secs_f64(exponential(MEAN_THOUGHT, rng).min(LONGEST_THOUGHT))
}

fn read_menu(rng: &mut Rng) -> Step {
    let restaurant = rng.i64(1..=RESTAURANTS);
    Step::ReadMenu { restaurant }
}

fn view_dish(rng: &mut Rng) -> Step {
    let choice = rng.usize(..8);
    Step::ViewDish { choice }
}

fn add_favorite(rng: &mut Rng) -> Step {
    let choice = rng.usize(..8);
    Step::AddFavorite { choice }
}

fn search(rng: &mut Rng) -> Step {
    let slow = rng.u8(..100) < 12;
    let text = WORDS[rng.usize(..WORDS.len())];
    let fragment = FRAGMENTS[rng.usize(..FRAGMENTS.len())];
    Step::Search {
        text: if slow { fragment } else { text },
    }
}

fn export(rng: &mut Rng) -> Step {
    let restaurant = rng.i64(1..SPOILT_BOOKS);
    Step::ExportSales { restaurant }
}

fn add_item(rng: &mut Rng) -> Step {
    let choice = rng.usize(..8);
    let quantity = rng.u8(1..4);
    Step::AddItem { choice, quantity }
}

/// Times to think, in seconds.
const MEAN_THOUGHT: f64 = 0.25;
const LONGEST_THOUGHT: f64 = 1.2;

/// Nobody stays longer than this many steps.
const LONGEST_JOURNEY: usize = 40;

/// A card that pays.
const CARD: &str = "4000 0000 0000 0077";

/// Texts that the search finds in its index.
const WORDS: [&str; 6] = ["pizza", "ramen", "curry", "fries", "dal", "noodles"];

/// Texts too short for the index.
const FRAGMENTS: [&str; 6] = ["a", "e", "pi", "no", "u", "ri"];
