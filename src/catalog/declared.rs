//! What the business declares of itself.

use super::{
    active_users::ActiveUsers, feature::Feature, funnel::Funnel, sessions::Sessions,
    transaction::Transaction,
};

/// Checked by the builder, counted by the pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) funnels: Vec<Funnel>,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) features: Vec<Feature>,
    /// `None`: nobody is counted but by features.
    pub(crate) active_users: Option<ActiveUsers>,
    /// `None`: no session is followed.
    pub(crate) sessions: Option<Sessions>,
}
