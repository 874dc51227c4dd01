//! Encoded records that go in one request.

use super::inquest::Inquest;
use crate::{
    delivery::ledger::Reason,
    records::{Priority, Signal},
    sync::Arc,
};
use std::{mem, time::Instant};

/// What a record takes beside its bytes.
const END: usize = mem::size_of::<usize>();

#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) signal: Signal,
    pub(super) priority: Priority,
    /// When its first record came.
    pub(super) began: Instant,
    /// What it is ordered by: the same, or later where it counts as fresh.
    pub(super) since: Instant,
    /// When it was first sent.
    pub(super) tried: Option<Instant>,
    inquest: Option<Arc<Inquest>>,
    /// Its other half was put back behind it.
    is_first_half: bool,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    pub(super) fn new(signal: Signal, priority: Priority, since: Instant) -> Self {
        Self {
            signal,
            priority,
            began: since,
            since,
            tried: None,
            inquest: None,
            is_first_half: false,
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(in crate::delivery) fn records(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut begin = 0;
        self.ends.iter().map(move |end| {
            let record = &self.bytes[begin..*end];
            begin = *end;
            record
        })
    }

    pub(in crate::delivery) fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Of what it carries, without what a request adds.
    pub(in crate::delivery) fn payload(&self) -> usize {
        self.bytes.len()
    }

    /// What it takes of the budget.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * END
    }

    pub(super) fn bytes_of(record: &[u8]) -> usize {
        record.len() + END
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// Whether more may be added: it was not yet refused, nor sent to who may have seen it.
    pub(super) fn is_open(&self) -> bool {
        self.tried.is_none() && self.inquest.is_none()
    }

    /// Nothing more is added: memory that was kept for more goes back.
    pub(super) fn seal(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Leaves so many records; the rest, if there is one, is a batch of its own.
    pub(super) fn cut(&mut self, records: usize) -> Option<Self> {
        if records == 0 || records >= self.ends.len() {
            return None;
        }
        let at = self.ends[records - 1];
        let mut rest = Self {
            bytes: self.bytes.split_off(at),
            ends: self.ends.split_off(records),
            inquest: self.inquest.clone(),
            ..*self
        };
        rest.ends.iter_mut().for_each(|end| *end -= at);
        self.seal();
        Some(rest)
    }

    /// Two halves, or the one record.
    pub(in crate::delivery) fn halved(mut self) -> Result<[Self; 2], Self> {
        match self.cut(self.ends.len() / 2) {
            Some(mut second) => {
                (self.is_first_half, second.is_first_half) = (true, false);
                Ok([self, second])
            }
            None => Err(self),
        }
    }

    pub(in crate::delivery) fn is_first_half(&self) -> bool {
        self.is_first_half
    }

    /// How many of its records make up so many bytes, one at least.
    pub(super) fn records_within(&self, payload: usize) -> usize {
        self.ends.partition_point(|end| *end <= payload).max(1)
    }

    pub(in crate::delivery) fn signal(&self) -> Signal {
        self.signal
    }

    /// It was sent and is to be sent again.
    pub(in crate::delivery) fn was_tried(&mut self, now: Instant) {
        self.tried.get_or_insert(now);
    }

    /// The destination refused it for what is in it: it is under inquest from here on.
    pub(in crate::delivery) fn was_refused(&mut self) -> &Inquest {
        let inquest = self.inquest.get_or_insert_with(Default::default);
        inquest.refused();
        inquest
    }

    /// Why it is not worth a request any more.
    pub(in crate::delivery) fn given_up(&self) -> Option<Reason> {
        self.inquest.as_ref()?.given_up()
    }

    /// The destination took so many of its records.
    pub(in crate::delivery) fn was_taken(&self, records: u64) {
        if let Some(inquest) = &self.inquest {
            inquest.took(records);
        }
    }
}
