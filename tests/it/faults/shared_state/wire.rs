//! What lies between a replica and its Redis, and fails as it is told.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Nobody is there.
    Closed,
    /// Every answer comes so much later.
    Slow(Duration),
    /// The first three answers of what was put in place are lost, and the connection with them.
    Cut,
    /// Every answer is 50 MB long.
    Flood,
}

#[derive(Debug)]
pub(super) struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    way: Mutex<Way>,
    to: SocketAddr,
    connections: AtomicUsize,
    commits: AtomicUsize,
    unanswered: AtomicUsize,
    most_unanswered: AtomicUsize,
    most_flooded: AtomicUsize,
}

impl Wire {
    pub(super) fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            way: Mutex::new(Way::Open),
            to,
            connections: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            most_unanswered: AtomicUsize::new(0),
            most_flooded: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn make(&self, way: Way) {
        *self.shared.way.lock().unwrap() = way;
    }

    /// Connections that were made so far.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Questions that waited for an answer at once, at most.
    pub(super) fn most_unanswered(&self) -> usize {
        self.shared.most_unanswered.load(Ordering::Relaxed)
    }

    /// The most bytes of a flood that were taken.
    pub(super) fn most_flooded(&self) -> usize {
        self.shared.most_flooded.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn way(&self) -> Way {
        *self.way.lock().unwrap()
    }

    fn serve(&self, client: TcpStream) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        if self.way() == Way::Closed {
            return;
        }
        let Ok(server) = TcpStream::connect(self.to) else {
            return;
        };
        // An error: one of them is gone.
        let _ = self.pass_on(&client, &server);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    /// Questions and answers in turn: whoever is asked one at a time asks no second before.
    fn pass_on(&self, client: &TcpStream, server: &TcpStream) -> io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        client.set_nonblocking(true)?;
        server.set_nonblocking(true)?;
        let mut asked = Asked(self, false);
        loop {
            let is_still = match read(client, &mut bytes)? {
                Some(0) => return Ok(()),
                Some(length) => {
                    asked.begin();
                    match self.way() {
                        Way::Closed => return Ok(()),
                        Way::Flood => return self.flood(client),
                        Way::Open | Way::Slow(_) | Way::Cut => {}
                    }
                    write(server, &bytes[..length])?;
                    false
                }
                None => true,
            };
            match read(server, &mut bytes)? {
                Some(0) => return Ok(()),
                Some(length) => {
                    match self.way() {
                        Way::Slow(lag) if !is_awaited(client, lag) => return Ok(()),
                        Way::Cut if is_of_commit(&bytes[..length]) => {
                            if self.commits.fetch_add(1, Ordering::Relaxed) < 3 {
                                return Ok(());
                            }
                        }
                        Way::Closed => return Ok(()),
                        Way::Open | Way::Slow(_) | Way::Cut | Way::Flood => {}
                    }
                    asked.end();
                    write(client, &bytes[..length])?;
                }
                None if is_still => thread::sleep(Duration::from_micros(200)),
                None => {}
            }
        }
    }

    fn flood(&self, mut client: &TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        let mut sent = 0;
        let mut all = || {
            client.write_all(b"$52428800\r\n")?;
            while sent < 50 << 20 {
                sent += client.write(&[b'x'; 1 << 16])?;
            }
            Ok(())
        };
        let ended = all();
        self.most_flooded.fetch_max(sent, Ordering::Relaxed);
        ended
    }
}

/// A question that waits, at most one of a connection.
struct Asked<'a>(&'a Shared, bool);

impl Asked<'_> {
    fn begin(&mut self) {
        if !std::mem::replace(&mut self.1, true) {
            let waiting = self.0.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
            self.0.most_unanswered.fetch_max(waiting, Ordering::Relaxed);
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.1) {
            self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// It alone answers with words: a digit for each unit, and how many are open.
fn is_of_commit(answer: &[u8]) -> bool {
    answer.starts_with(b"$") && answer.contains(&b' ')
}

/// Whether the client is still there after so long.
fn is_awaited(client: &TcpStream, lag: Duration) -> bool {
    let until = Instant::now() + lag;
    while Instant::now() < until {
        if matches!(client.peek(&mut [0]), Ok(0)) {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// `None`: nothing is there yet.
fn read(mut from: &TcpStream, into: &mut [u8]) -> io::Result<Option<usize>> {
    match from.read(into) {
        Ok(length) => Ok(Some(length)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_micros(200));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
