//! What was read of the metrics at one time, divided over requests.

use crate::{
    delivery::Encode as _,
    export::otlp::{Encoder, OURS, wire},
    records::Signal,
};
use std::{borrow::Cow, collections::VecDeque, mem, ops::Range};

/// The metrics of one reading: their bytes once, however they are divided.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// One metric after another, each as a record.
    bytes: Vec<u8>,
    metrics: Vec<Spelled>,
    /// What is still to be said, each part in a request of its own: the one in front is next.
    parts: VecDeque<Part>,
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

    /// Whether all of it is said.
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
        match self.parts.front_mut() {
            Some(part) => part.push(piece),
            None => self.parts.push_back(vec![piece]),
        }
    }

    /// Divides the part in front where it is larger than `most_bytes` as a request.
    pub(super) fn divide(&mut self, encoder: &Encoder, most_bytes: usize) {
        let fits = |records| encoder.request_length(records) <= most_bytes;
        let Some(part) = self.parts.pop_front() else {
            return;
        };
        match fits(self.length(&part)) {
            true => self.parts.push_front(part),
            false => {
                let divided = self.divided(part, fits).into_iter().rev();
                divided.for_each(|part| self.parts.push_front(part));
            }
        }
    }

    /// The part in front as a request: the same as long as it is neither divided nor concluded.
    pub(super) fn request(&self, encoder: &Encoder) -> Option<Vec<u8>> {
        let part = self.parts.front()?;
        let records: Vec<_> = part.iter().map(|piece| self.record(piece)).collect();
        let mut records = records.iter().map(|record| &**record);
        Some(encoder.request(Signal::Metrics, &mut records))
    }

    /// The bytes of that request.
    pub(super) fn request_length(&self, encoder: &Encoder) -> usize {
        let length = self.parts.front().map(|part| self.length(part));
        encoder.request_length(length.unwrap_or_default())
    }

    /// The part in front is over.
    pub(super) fn conclude(&mut self) {
        self.parts.pop_front();
        if self.parts.is_empty() {
            self.clear();
        }
    }

    /// Divides the part in front in two. Not where it is one point alone, which cannot be less.
    pub(super) fn halve(&mut self) -> bool {
        let Some(part) = self.parts.pop_front() else {
            return false;
        };
        let (first, second) = self.halves(part);
        let is_one_point = second.is_empty();
        if !is_one_point {
            self.parts.push_front(second);
        }
        self.parts.push_front(first);
        !is_one_point
    }

    /// Halves by the bytes of the points, so that it comes down to single points in few steps, be
    /// the name and the description of their metric ever so long. The first has one at least.
    fn halves(&self, part: Part) -> (Part, Part) {
        let half = part.iter().map(|piece| piece.points.len()).sum::<usize>() / 2;
        let (mut first, mut second, mut length) = (Part::new(), Part::new(), 0);
        let mut pieces = part.into_iter();
        for piece in pieces.by_ref() {
            let fits = |piece: &Piece| length + piece.points.len() <= half;
            if fits(&piece) {
                length += piece.points.len();
                first.push(piece);
                continue;
            }
            let start = piece.points.start;
            let has_room = start + (half - length) >= self.point_end(start, piece.points.end);
            if has_room || first.is_empty() {
                let (with_it, rest) = self.split(piece, fits);
                first.push(with_it);
                second.extend(rest);
            } else {
                second.push(piece);
            }
            break;
        }
        second.extend(pieces);
        (first, second)
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
                    let (first, second) = self.split(piece, |piece| fits(self.piece_length(piece)));
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
    fn split(&self, piece: Piece, fits: impl Fn(&Piece) -> bool) -> (Piece, Option<Piece>) {
        let Range { start, end } = piece.points;
        let with = |points| Piece {
            metric: piece.metric,
            points,
        };
        let mut at = self.point_end(start, end);
        while at < end {
            let next = self.point_end(at, end);
            if !fits(&with(start..next)) {
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
