//! What the business declares of itself.

use super::{funnel::Funnel, transaction::Transaction};

/// Checked by the builder, counted by the pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) funnels: Vec<Funnel>,
    pub(crate) transactions: Vec<Transaction>,
}
