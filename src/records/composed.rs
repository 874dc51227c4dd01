//! Fields that many records have in common, composed once.

use super::{Fields, Limits};

#[derive(Debug)]
pub(crate) struct Composed {
    pub(super) bytes: Box<[u8]>,
    pub(super) count: usize,
}

impl Composed {
    /// `None`: something is to be cut, and that is counted each time.
    pub(crate) fn new(limits: Limits, compose: impl FnOnce(&mut Fields)) -> Option<Self> {
        let mut fields = Fields::new(limits, Vec::new());
        compose(&mut fields);
        (fields.truncated() == 0).then(|| Self {
            count: fields.count(),
            bytes: fields.into_bytes().into(),
        })
    }
}
