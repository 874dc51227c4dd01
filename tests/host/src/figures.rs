//! What one producing thread measured, in memory that is there before it starts.

use serde_json::{Value, json};
use std::time::Duration;

/// Counts of durations, to within 3 %: 32 buckets for each doubling.
#[derive(Debug)]
pub(crate) struct Durations {
    counts: Box<[u64; Self::BUCKETS]>,
    most: u64,
}

impl Durations {
    const PER_DOUBLING: u32 = 5;
    const BUCKETS: usize = (64 - Self::PER_DOUBLING as usize + 1) << Self::PER_DOUBLING;

    pub(crate) fn new() -> Self {
        Self {
            counts: Box::new([0; Self::BUCKETS]),
            most: 0,
        }
    }

    #[inline]
    pub(crate) fn record(&mut self, took: Duration) {
        let nanos = took.as_nanos() as u64;
        self.most = self.most.max(nanos);
        self.counts[Self::bucket(nanos)] += 1;
    }

    pub(crate) fn forget(&mut self) {
        self.counts.fill(0);
        self.most = 0;
    }

    #[inline]
    fn bucket(nanos: u64) -> usize {
        let doublings = (64 - nanos.leading_zeros()).saturating_sub(Self::PER_DOUBLING + 1);
        ((doublings as usize) << Self::PER_DOUBLING) + (nanos >> doublings) as usize
    }

    /// The upper end of a bucket.
    fn end(bucket: usize) -> u64 {
        let within = bucket & ((1 << Self::PER_DOUBLING) - 1);
        match bucket >> Self::PER_DOUBLING {
            0 => within as u64,
            doublings => {
                let first = (within + (1 << Self::PER_DOUBLING)) as u64;
                ((first + 1) << (doublings - 1)) - 1
            }
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Nanoseconds that this share of all took at most.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let rank = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Self::end(bucket).min(self.most);
            }
        }
        self.most
    }

    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// In nanoseconds.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "count": self.count(),
            "p50": self.quantile(0.5),
            "p99": self.quantile(0.99),
            "p999": self.quantile(0.999),
            "max": self.most,
        })
    }
}

/// How often the calling thread gave the processor up so far, and how often it was taken away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    pub(crate) voluntary: i64,
    pub(crate) involuntary: i64,
}

impl Switches {
    pub(crate) fn so_far() -> Self {
        // SAFETY: the struct is the call's to fill.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &mut usage), 0);
            usage
        };
        Self {
            voluntary: usage.ru_nvcsw,
            involuntary: usage.ru_nivcsw,
        }
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
        }
    }
}

/// One thread's.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Of each event: from the call to its return.
    pub(crate) enqueue: Durations,
    /// Of each request: from the layer's call to the end of the body.
    pub(crate) requests: Durations,
    /// How late each began, against the open loop's schedule.
    pub(crate) late: Durations,
    pub(crate) switches: Switches,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self {
            enqueue: Durations::new(),
            requests: Durations::new(),
            late: Durations::new(),
            switches: Switches::default(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "enqueue": self.enqueue.to_json(),
            "requests": self.requests.to_json(),
            "late": self.late.to_json(),
            "voluntary": self.switches.voluntary,
            "involuntary": self.switches.involuntary,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_where_the_next_begins() {
        for nanos in (0..100_000).chain([1 << 20, u64::MAX >> 1, u64::MAX]) {
            let bucket = Durations::bucket(nanos);
            assert!(Durations::end(bucket) >= nanos);
            assert!(bucket == 0 || Durations::end(bucket - 1) < nanos, "{nanos}");
        }
    }
}
