//! One render for all who ask at the same time, and for 100 ms after.

use super::{Format, render::render};
use crate::{
    clock::Clock,
    fork::Process,
    metrics::{Registry, render_labels},
    resource::Resource,
    worker::Worker,
};
use bytes::Bytes;
use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long a rendered page is handed out again.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// A page without a metric, in either format.
const NOTHING: &[u8] = b"# EOF\n";

/// The pages of one registry, rendered on the worker's thread.
pub(crate) struct Pages {
    registry: &'static Registry,
    target: Box<str>,
    clock: Clock,
    /// Weak: the worker's tenants hold the pages.
    worker: Weak<Worker>,
    /// Text, OpenMetrics. Held while one is rendered: there is one render at a time.
    latest: Arc<Mutex<Latest>>,
    last: OnceLock<[Bytes; 2]>,
    process: Process,
}

type Latest = [Option<Rendered>; 2];

struct Rendered {
    at: Instant,
    page: Bytes,
}

impl Pages {
    pub(crate) fn new(
        registry: &'static Registry,
        resource: &Resource,
        clock: Clock,
        worker: Weak<Worker>,
    ) -> Self {
        Self {
            registry,
            target: render_labels(resource.iter()),
            clock,
            worker,
            latest: Arc::default(),
            last: OnceLock::new(),
            process: Process::current(),
        }
    }

    /// The page in `format`, at most 100 ms old; of a forked child, one without a metric.
    pub(crate) async fn page(self: &Arc<Self>, format: Format) -> Bytes {
        if let Some(last) = self.last.get() {
            return last[format as usize].clone();
        }
        if self.process.is_forked() {
            return Bytes::from_static(NOTHING);
        }
        let latest = Arc::clone(&self.latest).lock_owned().await;
        let now = self.clock.now();
        if let Some(Rendered { at, page }) = &latest[format as usize]
            && now.saturating_duration_since(*at) < SHARED_FOR
        {
            return page.clone();
        }
        // The lock goes with the render: the page of a scraper that goes away before it is there
        // serves the next one.
        let this = Arc::clone(self);
        let renew = move || this.renew(format, latest);
        let renewed = match self.worker.upgrade() {
            Some(worker) => worker.run(renew).await,
            None => Some(renew()),
        };
        // None: the worker was stopped meanwhile.
        renewed.unwrap_or_else(|| match self.last.get() {
            Some(last) => last[format as usize].clone(),
            None => self.render(format, 0),
        })
    }

    fn renew(&self, format: Format, mut latest: OwnedMutexGuard<Latest>) -> Bytes {
        let latest = &mut latest[format as usize];
        let size = latest.as_ref().map_or(0, |rendered| rendered.page.len());
        let page = self.render(format, size);
        *latest = Some(Rendered {
            at: self.clock.now(),
            page: page.clone(),
        });
        page
    }

    /// From here on every page is the one of now.
    pub(crate) fn freeze(&self) {
        // Not by `get_or_init`: an observer may be code of the host's that asks for the end.
        if self.last.get().is_none() {
            let pages = [Format::Text, Format::OpenMetrics].map(|f| self.render(f, 0));
            let _ = self.last.set(pages);
        }
    }

    /// `size` is that of the page before: room for this one, so that it does not grow by copying.
    fn render(&self, format: Format, size: usize) -> Bytes {
        let mut page = String::with_capacity(size + size / 8);
        render(self.registry, &self.target, format, &mut page);
        page.into()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}
