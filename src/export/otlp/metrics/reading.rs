//! What was read of the metrics at one time, divided over requests.

use crate::{
    delivery::Encode as _,
    export::otlp::{Encoder, OURS, wire},
    records::Signal,
};
use std::{borrow::Cow, mem, ops::Range};

/// The metrics of one reading: their bytes once, however they are divided.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// One metric after another, each as a record.
    bytes: Vec<u8>,
    metrics: Vec<Spelled>,
    /// What is still to be said, each part in a request of its own.
    parts: Vec<Part>,
}

/// Where a metric stands.
#[derive(Debug)]
struct Spelled {
    record: Range<usize>,
    /// The field that holds its points.
    field: u8,
    points: Range<usize>,
}

/// Some of one metric's points, which stand together.
#[derive(Clone, Debug)]
struct Piece {
    metric: usize,
    points: Range<usize>,
}

type Part = Vec<Piece>;

impl Reading {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.metrics.clear();
        self.parts.clear();
    }

    /// Whether all of it has been said.
    pub(super) fn is_over(&self) -> bool {
        self.parts.is_empty()
    }

    /// Appends a metric: its own fields, and its points with what follows them in `field`. All of it
    /// is the first part.
    pub(super) fn metric(
        &mut self,
        own: impl FnOnce(&mut Vec<u8>),
        field: u8,
        points: &[u8],
        tail: &[&[u8]],
    ) {
        let out = &mut self.bytes;
        let begin = out.len();
        out.push(OURS);
        own(out);
        let tail_length: usize = tail.iter().map(|part| part.len()).sum();
        wire::head(out, field, points.len() + tail_length);
        let points_begin = out.len();
        out.extend_from_slice(points);
        let points = points_begin..out.len();
        tail.iter().for_each(|part| out.extend_from_slice(part));
        let piece = Piece {
            metric: self.metrics.len(),
            points: points.clone(),
        };
        self.metrics.push(Spelled {
            record: begin..out.len(),
            field,
            points,
        });
        match self.parts.first_mut() {
            Some(part) => part.push(piece),
            None => self.parts.push(vec![piece]),
        }
    }

    /// Divides what is larger than `most_bytes` as a request.
    pub(super) fn divide(&mut self, encoder: &Encoder, most_bytes: usize) {
        let fits = |records| encoder.request_length(records) <= most_bytes;
        if self.parts.iter().all(|part| fits(self.length(part))) {
            return;
        }
        for part in mem::take(&mut self.parts) {
            match fits(self.length(&part)) {
                true => self.parts.push(part),
                false => {
                    let divided = self.divided(part, fits);
                    self.parts.extend(divided);
                }
            }
        }
    }

    /// The first part as a request: the same as long as nothing is divided.
    pub(super) fn request(&self, encoder: &Encoder) -> Option<Vec<u8>> {
        let part = self.parts.first()?;
        let records: Vec<_> = part.iter().map(|piece| self.record(piece)).collect();
        let mut records = records.iter().map(|record| &**record);
        Some(encoder.request(Signal::Metrics, &mut records))
    }

    /// Its bytes.
    pub(super) fn request_length(&self, encoder: &Encoder) -> usize {
        let length = self.parts.first().map(|part| self.length(part));
        encoder.request_length(length.unwrap_or_default())
    }

    /// The first part is over.
    pub(super) fn said(&mut self) {
        if !self.parts.is_empty() {
            self.parts.remove(0);
        }
        if self.parts.is_empty() {
            self.clear();
        }
    }

    /// Divides the first part in two. `false`: it is one point, and given up.
    pub(super) fn halve(&mut self) -> bool {
        let Some(part) = self.parts.first().cloned() else {
            return true;
        };
        let half = self.length(&part) / 2;
        let halves = self.divided(part, |length| length <= half);
        if halves.len() < 2 {
            self.said();
            return false;
        }
        self.parts.splice(0..1, halves);
        true
    }

    /// Fills one part after another as far as `fits` allows for the length of its records, but with
    /// one point at least.
    fn divided(&self, part: Part, fits: impl Fn(usize) -> bool) -> Vec<Part> {
        let (mut parts, mut filled, mut length) = (Vec::new(), Part::new(), 0);
        for piece in part {
            let mut rest = Some(piece);
            while let Some(piece) = rest.take() {
                let with_it = length + self.piece_length(&piece);
                if fits(with_it) {
                    filled.push(piece);
                    length = with_it;
                } else if !filled.is_empty() {
                    parts.push(mem::take(&mut filled));
                    length = 0;
                    rest = Some(piece);
                } else {
                    let (first, second) = self.split(piece, &fits);
                    parts.push(vec![first]);
                    rest = second;
                }
            }
        }
        if !filled.is_empty() {
            parts.push(filled);
        }
        parts
    }

    /// As many points as fit, at least one, and the others.
    fn split(&self, piece: Piece, fits: impl Fn(usize) -> bool) -> (Piece, Option<Piece>) {
        let Range { start, end } = piece.points;
        let with = |points| Piece {
            metric: piece.metric,
            points,
        };
        let mut at = self.point_end(start, end);
        while at < end {
            let next = self.point_end(at, end);
            if !fits(self.piece_length(&with(start..next))) {
                break;
            }
            at = next;
        }
        (with(start..at), (at < end).then(|| with(at..end)))
    }

    /// Where the point ends that begins at `begin`.
    fn point_end(&self, begin: usize, end: usize) -> usize {
        // Its tag, and its length in groups of seven bits.
        let mut at = begin + 1;
        let (mut length, mut shift) = (0, 0);
        while let Some(byte) = self.bytes.get(at) {
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 56 {
                break;
            }
        }
        at.saturating_add(length).min(end)
    }

    fn length(&self, part: &Part) -> usize {
        part.iter().map(|piece| self.piece_length(piece)).sum()
    }

    /// The bytes of a record as it stands in a request.
    fn piece_length(&self, piece: &Piece) -> usize {
        let metric = &self.metrics[piece.metric];
        let message = match metric.points == piece.points {
            true => metric.record.len() - 1,
            false => metric.own().len() + wire::field_length(metric.inner_length(&piece.points)),
        };
        wire::field_length(message)
    }

    fn record(&self, piece: &Piece) -> Cow<'_, [u8]> {
        let metric = &self.metrics[piece.metric];
        if metric.points == piece.points {
            return Cow::Borrowed(&self.bytes[metric.record.clone()]);
        }
        let mut record = Vec::with_capacity(metric.record.len());
        record.push(OURS);
        record.extend_from_slice(&self.bytes[metric.own()]);
        let length = metric.inner_length(&piece.points);
        wire::head(&mut record, metric.field, length);
        record.extend_from_slice(&self.bytes[piece.points.clone()]);
        record.extend_from_slice(&self.bytes[metric.tail()]);
        record.into()
    }
}

impl Spelled {
    /// Its name and what else it has before its points.
    fn own(&self) -> Range<usize> {
        let inner = self.record.end - self.points.start;
        let head = wire::field_length(inner) - inner;
        self.record.start + 1..self.points.start - head
    }

    /// What follows the points.
    fn tail(&self) -> Range<usize> {
        self.points.end..self.record.end
    }

    fn inner_length(&self, points: &Range<usize>) -> usize {
        points.len() + self.tail().len()
    }
}
