//! A receiver of OTLP that breaks as it is told: over HTTP/1.1 and gRPC on one port, on a thread and
//! a runtime of its own, so that the test's thread may block. What it does by chance, it does by its
//! seed.

mod answers;
mod behaviour;
mod decoded;
mod listening;
mod serving;
mod state;
mod wire;

pub(crate) use behaviour::{Behaviour, Flood};
pub(crate) use decoded::{DISHES, Id, Kind};
pub(crate) use state::{Answered, Seen};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use orderscope::export::Signal;
use tokio::sync::mpsc as asynchronous;
use tokio::time::Instant;

use state::State;

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    seed: u64,
    address: SocketAddr,
    state: Arc<State>,
    orders: asynchronous::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// To its thread; what it sends back says that it is done.
enum Order {
    Behave(Behaviour, mpsc::Sender<()>),
    Stop,
}

impl Collector {
    /// Listens on a free port of the loopback, healthy.
    pub(crate) fn start(seed: u64) -> Self {
        let state = Arc::new(State::new(seed));
        let (orders, given) = asynchronous::unbounded_channel();
        let (tell, told) = mpsc::channel();
        let for_thread = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("collector".to_owned())
            .spawn(move || listening::run(&for_thread, given, &tell))
            .unwrap();
        Self {
            seed,
            address: told.recv().unwrap(),
            state,
            orders,
            thread: Some(thread),
        }
    }

    /// For OTLP over HTTP.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For OTLP over gRPC: the same port, which tells by how a connection begins.
    pub(crate) fn grpc_url(&self) -> String {
        self.url()
    }

    /// From now on, live connections included; it is so when this returns.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        if matches!(behaviour, Behaviour::Flood(Flood::Bomb)) {
            LazyLock::force(&answers::BOMB);
        }
        let (done, is_done) = mpsc::channel();
        let order = Order::Behave(behaviour, done);
        assert!(self.orders.send(order).is_ok(), "the collector runs");
        is_done.recv().expect("the collector runs");
    }

    /// All requests so far whose head has come, in their order.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.state.requests()
    }

    pub(crate) fn requests_of(&self, signal: Signal) -> Vec<Seen> {
        let mut requests = self.requests();
        requests.retain(|seen| seen.signal == signal);
        requests
    }

    /// What it kept, acknowledged or not, and how often each came.
    pub(crate) fn taken(&self) -> BTreeMap<Id, u32> {
        self.state.taken()
    }

    /// How many different records of that kind it kept.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.taken().keys().filter(|id| id.kind == kind).count()
    }

    /// How many connections it has accepted so far.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections()
    }

    /// Waits until that holds. Whether it does in time.
    pub(crate) fn until(&self, within: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let deadline = Instant::now() + within;
        while !holds(self) {
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Collector {
    #[expect(clippy::print_stderr, reason = "a failure is repeated with its seed")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the collector's seed was {}", self.seed);
        }
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
