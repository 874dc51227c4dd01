//! Looking names up: one at a time for each way, since a lookup that hangs cannot be stopped, and
//! holds a thread for as long as the system's resolver pleases.

use hyper_util::client::legacy::connect::dns::Name;
use std::{
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tower_service::Service;

/// How many lookups one way may have hanging.
pub(super) const AT_ONCE: usize = 1;

/// The system's resolver.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    permits: Arc<Semaphore>,
    resolve: fn(&str) -> io::Result<vec::IntoIter<SocketAddr>>,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            // The port is the connector's to add.
            resolve: |name| (name, 0).to_socket_addrs(),
        }
    }
}

impl Service<Name> for Lookup {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (permits, resolve) = (Arc::clone(&self.permits), self.resolve);
        Box::pin(async move {
            // Those who wait block no thread, and their attempts have deadlines.
            let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
            // Given back by the lookup itself, however long it takes.
            let looked_up = spawn_blocking(move || {
                let _permit = permit;
                resolve(name.as_str())
            });
            looked_up
                .await
                .unwrap_or_else(|failed| Err(io::Error::other(failed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        str::FromStr,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering},
        time::Duration,
    };
    use tokio::time::timeout;

    fn name() -> Name {
        Name::from_str("localhost").unwrap()
    }

    #[tokio::test]
    async fn a_name_is_looked_up_again_and_again() {
        let mut lookup = Lookup::default();
        for _ in 0..3 {
            let mut found = lookup.call(name()).await.unwrap();
            assert!(found.all(|address| address.ip().is_loopback()));
        }
    }

    #[tokio::test]
    async fn a_lookup_that_hangs_holds_one_thread_whatever_comes_after_it() {
        static HANGS: AtomicBool = AtomicBool::new(true);
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let resolve = |_: &str| {
            THREADS.fetch_add(1, Ordering::SeqCst);
            while HANGS.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(Vec::new().into_iter())
        };
        let mut lookup = Lookup {
            resolve,
            ..Lookup::default()
        };
        for _ in 0..5 {
            let cut = timeout(Duration::from_millis(20), lookup.call(name())).await;
            assert!(cut.is_err(), "it hangs");
            assert_eq!(lookup.permits.available_permits(), 0);
        }
        while THREADS.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(THREADS.load(Ordering::SeqCst), 1);
        HANGS.store(false, Ordering::SeqCst);
        assert!(lookup.call(name()).await.is_ok());
    }
}
