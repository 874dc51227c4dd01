//! Operations of clients that we do not know.

use super::query::{Failure, Query, SLOW_AFTER};
use crate::{context, pipeline, pipeline::Traits, redaction::sql::Dialect};
use compact_str::CompactString;
use pin_project_lite::pin_project;
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

const OTHER: &str = "_OTHER";
/// Bytes of the name of an error.
const LONGEST_NAME: usize = 64;

/// What is done to which database: `SELECT orders`, say, or `GET session`. Words from the program's
/// source, never data: each is a label.
#[derive(Clone, Debug)]
#[must_use = "it is measured by `time`"]
pub struct Operation {
    summary: Cow<'static, str>,
    traits: Traits,
    slow_after: Duration,
}

impl Operation {
    /// Of a database of the system `other_sql`, slow after 300 ms.
    pub fn new(summary: impl Into<Cow<'static, str>>) -> Self {
        Self {
            summary: summary.into(),
            traits: Traits::of_system("other_sql", Dialect::Unknown),
            slow_after: SLOW_AFTER,
        }
    }

    /// `db.system.name`, as the conventions spell it: `postgresql`, `redis`, `mongodb`.
    pub fn system(mut self, system: &'static str) -> Self {
        self.traits.system = CompactString::const_new(system);
        self
    }

    /// `db.namespace`: the name of the database within the system. Absent by default.
    pub fn namespace(mut self, namespace: &'static str) -> Self {
        self.traits.namespace = CompactString::const_new(namespace);
        self
    }

    /// When it counts as slow. Default: after 300 ms.
    pub fn slow_after(mut self, slow_after: Duration) -> Self {
        self.slow_after = slow_after;
        self
    }
}

impl From<&'static str> for Operation {
    fn from(summary: &'static str) -> Self {
        Self::new(summary)
    }
}

/// Measures an operation of any client: from the first poll to the end. [`crate::database`] says what
/// is recorded. Where there is no telemetry, of the current request or installed, the future runs as it
/// is.
///
/// ```
/// use orderscope::database::{self, Operation};
///
/// # async fn load() -> Result<(), std::io::Error> {
/// let menu = database::time("SELECT menus", async { Ok::<_, std::io::Error>("soup") }).await?;
/// let session = Operation::new("GET session").system("redis");
/// let known = database::time(session, async { Err::<(), _>(std::io::ErrorKind::TimedOut) })
///     .error_type(|error| format!("{error:?}"))
///     .await;
/// # Ok(())
/// # }
/// ```
pub fn time<T, E, F>(operation: impl Into<Operation>, future: F) -> Timed<F, fn(&E) -> String>
where
    F: Future<Output = Result<T, E>>,
{
    Timed {
        inner: future,
        error_type: |_| OTHER.to_owned(),
        operation: Some(operation.into()),
        query: None,
    }
}

pin_project! {
    /// The future of [`time`]. Dropped before it is ready, its operation counts as `cancelled`.
    #[must_use = "futures do nothing unless polled"]
    pub struct Timed<F, N> {
        #[pin]
        inner: F,
        error_type: N,
        // `None`: it has begun.
        operation: Option<Operation>,
        query: Option<Query>,
    }
}

impl<F, N> Timed<F, N> {
    /// What `error.type` says of an error, in place of `_OTHER`: one of few words, such as a code, and no
    /// message. `_OTHER` still where that is empty, has white space or more than 64 bytes.
    pub fn error_type<T, E, M>(self, name: M) -> Timed<F, M>
    where
        F: Future<Output = Result<T, E>>,
        M: Fn(&E) -> String,
    {
        Timed {
            inner: self.inner,
            error_type: name,
            operation: self.operation,
            query: self.query,
        }
    }
}

impl<T, E, F, N> Future for Timed<F, N>
where
    F: Future<Output = Result<T, E>>,
    N: Fn(&E) -> String,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        if let Some(operation) = this.operation.take() {
            // A forked child records nothing, and would make a room for it each time.
            let pipeline = context::pipeline().filter(|to| !to.handoff.is_forked());
            *this.query = pipeline.map(|pipeline| begin(pipeline, &operation));
        }
        let result = ready!(this.inner.poll(cx));
        if let Some(mut query) = this.query.take() {
            match &result {
                Ok(_) => query.succeeded(),
                Err(error) => query.failed(named((this.error_type)(error))),
            }
        }
        Poll::Ready(result)
    }
}

/// An error without a name is one all the same. A sentence is none: it may hold values, and there are as
/// many as there are errors.
fn named(error_type: String) -> Failure {
    let is_word =
        (1..=LONGEST_NAME).contains(&error_type.len()) && !error_type.contains(char::is_whitespace);
    Failure::of_kind(match is_word {
        true => error_type.into(),
        false => CompactString::const_new(OTHER),
    })
}

fn begin(pipeline: &'static pipeline::Pipeline, operation: &Operation) -> Query {
    let source = pipeline.databases().source(&operation.traits);
    let found = source.named(&operation.summary);
    Query::begin(source, found, operation.slow_after)
}

impl<F, N> fmt::Debug for Timed<F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").finish_non_exhaustive()
    }
}
