//! What the replicas come to together: as a table, and as JSON.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    audience::{Active, Features, Visits},
    funnels::Funnels,
    requests::Requests,
    transactions::Transactions,
};

/// All replicas: what is one truth over them, and what each says of itself.
#[derive(Serialize)]
pub(crate) struct Together {
    #[serde(flatten)]
    all: Counts,
    replicas: Vec<Ended>,
}

/// A replica that has ended.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Ended {
    summary: Value,
    #[serde(skip)]
    counts: Counts,
    #[serde(skip)]
    is_balanced: bool,
}

/// Of a summary, what replicas have in common or add up to.
#[derive(Default, Deserialize, Serialize)]
struct Counts {
    requests: Requests,
    funnels: Funnels,
    sessions: Option<Visits>,
    active_users: Active,
    features: Features,
    transactions: Transactions,
}

impl Ended {
    pub(crate) fn new(summary: Value, is_balanced: bool) -> serde_json::Result<Self> {
        Ok(Self {
            counts: Counts::deserialize(&summary)?,
            summary,
            is_balanced,
        })
    }
}

impl Together {
    pub(crate) fn of(replicas: Vec<Ended>) -> Self {
        let mut all = Counts::default();
        for replica in &replicas {
            all.add(&replica.counts);
        }
        Self { all, replicas }
    }

    pub(crate) fn are_balanced(&self) -> bool {
        self.replicas.iter().all(|replica| replica.is_balanced)
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.requests.add(&other.requests);
        self.funnels.add(&other.funnels);
        if let Some(sessions) = &other.sessions {
            self.sessions.get_or_insert_default().add(sessions);
        }
        self.active_users.look_at(&other.active_users);
        self.features.add(&other.features, &self.active_users);
        self.transactions.add(&other.transactions);
    }

    fn write_row(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        let [requests, sessions] = [
            self.requests.started(),
            self.sessions.as_ref().map_or(0, Visits::started),
        ];
        let users = self.active_users.today();
        let users = users.map_or_else(|| "-".to_owned(), |users| users.to_string());
        writeln!(f, "{name:<9}{requests:>10}{sessions:>10}{users:>14}")
    }
}

impl Display for Together {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { all, replicas } = self;
        writeln!(
            f,
            "{:<9}{:>10}{:>10}{:>14}",
            "replica", "requests", "sessions", "active users"
        )?;
        for (number, replica) in (1..).zip(replicas) {
            replica.counts.write_row(f, &format!("{number}"))?;
        }
        all.write_row(f, "all")?;
        writeln!(
            f,
            "\nEach session is counted by one replica; active users are one number that each of \
             them knows.\n"
        )?;
        for (outcome, requests) in all.requests.by_outcome() {
            writeln!(f, "{outcome:<15}{requests:>8}")?;
        }
        write!(f, "{}{}", all.funnels, all.transactions)?;
        if let Some(sessions) = &all.sessions {
            write!(f, "{sessions}")?;
        }
        write!(f, "{}{}{}", all.active_users, all.features, all.requests)
    }
}
