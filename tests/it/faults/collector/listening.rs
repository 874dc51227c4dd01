//! The collector's thread: its port, its connections, and the behaviours that know no requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use orderscope::export::Signal;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{mpsc as asynchronous, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::serving::serve;
use super::state::State;
use super::wire::{Control, Wire};
use super::{Behaviour, Order};

/// What a narrow connection announces as the longest segment, and what it holds unread: the sender's
/// own buffer stays as small as its segments.
const NARROW_SEGMENT: u32 = 536;
const NARROW_BUFFER: usize = 4096;
const BACKLOG: i32 = 1024;

pub(super) fn run(
    state: &Arc<State>,
    mut orders: asynchronous::UnboundedReceiver<Order>,
    tell: &mpsc::Sender<SocketAddr>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut door = Door::open(Arc::clone(state));
        tell.send(door.address).unwrap();
        let mut flapping: Option<Flapping> = None;
        loop {
            let turn = async {
                match &flapping {
                    Some(flapping) => sleep(flapping.lasts()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Behave(behaviour, done)) => {
                        flapping = Flapping::of(&behaviour);
                        door.behave(match &flapping {
                            Some(_) => Behaviour::Healthy,
                            None => behaviour,
                        }).await;
                        let _ = done.send(());
                    }
                    Some(Order::Stop) | None => return,
                },
                () = turn => {
                    if let Some(flapping) = &mut flapping {
                        flapping.is_up = !flapping.is_up;
                        door.behave(flapping.behaviour()).await;
                    }
                }
            }
        }
    });
    // Whatever still hangs there is not waited for.
    runtime.shutdown_background();
}

/// By turns healthy and not.
struct Flapping {
    up: Duration,
    down: Duration,
    by: Behaviour,
    is_up: bool,
}

impl Flapping {
    fn of(behaviour: &Behaviour) -> Option<Self> {
        match behaviour {
            Behaviour::Flap { up, down, by } => Some(Self {
                up: *up,
                down: *down,
                by: (**by).clone(),
                is_up: true,
            }),
            _ => None,
        }
    }

    fn lasts(&self) -> Duration {
        if self.is_up { self.up } else { self.down }
    }

    fn behaviour(&self) -> Behaviour {
        match self.is_up {
            true => Behaviour::Healthy,
            false => self.by.clone(),
        }
    }
}

/// The port, and who has come in by it.
struct Door {
    state: Arc<State>,
    address: SocketAddr,
    /// Bound and never listening: while nobody listens, no other process gets the port.
    _keeper: Socket,
    is_narrow: bool,
    /// Listens; `None`: refused by the system.
    acceptor: Option<(Socket, JoinSet<()>)>,
    /// Ends the connections that are there whenever it changes.
    ends: watch::Sender<u64>,
}

impl Door {
    fn open(state: Arc<State>) -> Self {
        let keeper = bound((Ipv4Addr::LOCALHOST, 0).into());
        let address = keeper.local_addr().unwrap().as_socket().unwrap();
        let mut door = Self {
            state,
            address,
            _keeper: keeper,
            is_narrow: false,
            acceptor: None,
            ends: watch::Sender::new(0),
        };
        door.listen();
        door
    }

    async fn behave(&mut self, behaviour: Behaviour) {
        let (is_narrow, is_shut) = (
            behaviour.is_narrow(),
            matches!(behaviour, Behaviour::Refuse),
        );
        let resets = is_shut || matches!(behaviour, Behaviour::ResetBefore);
        self.state.set(behaviour);
        if is_narrow != self.is_narrow || is_shut {
            if let Some((socket, mut acceptor)) = self.acceptor.take() {
                // The port is free once its task is gone.
                acceptor.shutdown().await;
                // Those who wait to be let in are reset as well.
                while let Ok((waiting, _)) = socket.accept() {
                    waiting.set_linger(Some(Duration::ZERO)).unwrap();
                }
            }
            self.is_narrow = is_narrow;
        }
        if resets || self.acceptor.is_none() {
            // Those who are there are reset, or would keep a connection of the other kind.
            self.ends.send_modify(|times| *times += 1);
        }
        if self.acceptor.is_none() && !is_shut {
            self.listen();
        }
    }

    fn listen(&mut self) {
        let socket = bound(self.address);
        if self.is_narrow {
            socket.set_tcp_mss(NARROW_SEGMENT).unwrap();
            socket.set_recv_buffer_size(NARROW_BUFFER).unwrap();
        }
        socket.listen(BACKLOG).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(socket.try_clone().unwrap().into()).unwrap();
        let (state, is_narrow) = (Arc::clone(&self.state), self.is_narrow);
        let ends = self.ends.clone();
        let mut acceptor = JoinSet::new();
        acceptor.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let behaviour = state.connected();
                let control = Control::new();
                let wire = Wire::new(stream, Arc::clone(&control));
                if matches!(behaviour, Behaviour::ResetBefore) {
                    control.reset();
                    drop(wire);
                    continue;
                }
                let state = Arc::clone(&state);
                tokio::spawn(talk(wire, control, state, ends.subscribe(), is_narrow));
            }
        });
        self.acceptor = Some((socket, acceptor));
    }
}

/// Serves one connection to its end, or resets it.
async fn talk(
    wire: Wire,
    control: Arc<Control>,
    state: Arc<State>,
    mut ends: watch::Receiver<u64>,
    is_narrow: bool,
) {
    let of_requests = Arc::clone(&control);
    let service =
        service_fn(move |request| serve(Arc::clone(&state), Arc::clone(&of_requests), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if is_narrow {
        builder
            .http2()
            .initial_stream_window_size(16 * 1024)
            .initial_connection_window_size(64 * 1024);
    }
    // Before the connection is dropped, which a branch's own code would be too late for.
    let ended = async {
        let _ = ends.changed().await;
        control.reset();
    };
    let serving = builder.serve_connection(TokioIo::new(wire), service);
    tokio::select! {
        // A sender that goes away is no failure of the collector.
        _ = serving => {}
        () = control.is_reset() => {}
        () = ended => {}
    }
}

fn bound(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

/// What a request's path names, over HTTP or gRPC.
pub(super) fn signal(path: &str) -> Option<Signal> {
    Some(match path {
        "/v1/traces" | "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
            Signal::Traces
        }
        "/v1/logs" | "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Signal::Logs,
        "/v1/metrics" | "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
            Signal::Metrics
        }
        _ => return None,
    })
}
