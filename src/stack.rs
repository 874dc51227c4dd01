//! Stacks: raw on the thread that fails, resolved on the worker.

pub(crate) const DEPTH: usize = 64;

/// The addresses of a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawStack {
    pub(crate) length: usize,
    pub(crate) frames: [usize; DEPTH],
}
