//! The scrape listener of its own, under those who only hold it up.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use orderscope::Telemetry;
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use crate::descriptors::{self, Descriptors};

/// What the listener holds, by its documentation.
const HELD: usize = 16;
const HEADER_WITHIN: Duration = Duration::from_secs(2);
const ALL_WITHIN: Duration = Duration::from_secs(5);
/// For a machine that also compiles.
const MARGIN: Duration = Duration::from_millis(1_500);
/// 100 ms, three times that in a build without optimisation.
const HONEST_WITHIN: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 300 } else { 100 });

fn listening() -> (Telemetry, SocketAddr) {
    let telemetry = Telemetry::builder("orders")
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .build()
        .unwrap();
    let address = telemetry.metrics_address().unwrap();
    (telemetry, address)
}

/// Everything that is answered to `request` until the listener closes.
fn answered(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn head_and_body(answer: &str) -> (&str, &str) {
    answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head in {answer:?}"))
}

/// An honest scrape, and how long it took from connecting on.
fn honest(address: SocketAddr) -> Duration {
    let began = Instant::now();
    let answer = answered(address, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    let took = began.elapsed();
    let (head, body) = head_and_body(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body.contains("\ntarget_info{"), "{body}");
    took
}

/// Whether the other side has closed.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1_024]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Waits until all of them are closed by the other side, and says how long that took.
fn closed_within(streams: &[TcpStream], within: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let open = streams.iter().filter(|stream| !is_closed(stream)).count();
        if open == 0 {
            return began.elapsed();
        }
        assert!(began.elapsed() < within, "{open} open after {within:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_serves_metrics_by_get_and_head_and_nothing_else() {
    let (_telemetry, address) = listening();
    let ask = |request: &str| answered(address, &format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n"));

    let get = ask("GET /metrics");
    let (head, body) = head_and_body(&get);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nvary: accept\r\n"), "{head}");
    assert!(
        body.starts_with("# HELP target_info") && body.ends_with('\n'),
        "{body}"
    );
    assert!(
        head.contains(&format!("\r\ncontent-length: {}", body.len())),
        "{head}"
    );
    // A query changes nothing.
    assert!(ask("GET /metrics?name[]=up").starts_with("HTTP/1.1 200 OK\r\n"));

    let head_only = ask("HEAD /metrics");
    let (head, body) = head_and_body(&head_only);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-length: "), "{head}");
    assert_eq!(body, "");

    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let refused = ask(&format!("{method} /metrics"));
        assert!(
            refused.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{refused}"
        );
        assert!(refused.contains("\r\nallow: GET, HEAD\r\n"), "{refused}");
    }
    for path in [
        "/",
        "/metrics/",
        "/Metrics",
        "//metrics",
        "/live",
        "/%6detrics",
        "*",
    ] {
        let absent = ask(&format!("GET {path}"));
        assert!(
            absent.starts_with("HTTP/1.1 404 Not Found\r\n"),
            "{path}: {absent}"
        );
        assert!(!absent.contains("target_info"), "{absent}");
    }
    let openmetrics = answered(
        address,
        "GET /metrics HTTP/1.1\r\nhost: x\r\naccept: application/openmetrics-text\r\n\r\n",
    );
    assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
}

#[test]
fn what_is_no_http_is_refused_and_a_huge_head_is_cut() {
    let (_telemetry, address) = listening();
    let huge = format!(
        "GET /metrics HTTP/1.1\r\nhost: x\r\nx: {}",
        "y".repeat(100_000)
    );
    for request in ["\x16\x03\x01\x02\0\x01\0\x01\u{fc}", "GET\r\n\r\n", &huge] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(HEADER_WITHIN + MARGIN))
            .unwrap();
        // The other side may have closed amid a huge head.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    honest(address);
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn a_thousand_silent_sockets_hold_sixteen_places_for_two_seconds_and_no_scrape() {
    descriptors::with(Descriptors::Most, || {
        let (_telemetry, address) = listening();
        let began = Instant::now();
        let silent: Vec<_> = (0..1_000)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let while_held = honest(address);
        let took_to_connect = began.elapsed();
        let open = silent.iter().filter(|stream| !is_closed(stream)).count();
        assert!(open <= HELD, "{open} held");
        let again = honest(address);
        closed_within(&silent, HEADER_WITHIN + MARGIN);
        println!(
            "1,000 sockets connected and an honest scrape answered in {took_to_connect:.2?}; {open} \
         held; honest scrapes {while_held:.2?}, {again:.2?}; all closed {:.2?} after the first",
            began.elapsed()
        );
        assert!(
            while_held.max(again) <= HONEST_WITHIN,
            "{while_held:?} {again:?}"
        );
        assert!(honest(address) <= HONEST_WITHIN);
    });
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn out_of_descriptors_it_waits_without_work_and_recovers() {
    descriptors::with(Descriptors::Only(64), || {
        let (_telemetry, address) = listening();
        honest(address);
        // Connecting takes no further descriptor.
        let clients = [(); 3].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
        let mut processor_time = ProcessorTime::of_ours();
        let mut taken = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            taken.push(file);
        }
        assert!(taken.len() > 16, "{}", taken.len());
        let clients = clients.map(|client| {
            client.connect(&address.into()).unwrap();
            let mut client = TcpStream::from(client);
            client
                .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            client
        });
        let before = processor_time.read();
        std::thread::sleep(Duration::from_secs(1));
        let spent = processor_time.read() - before;
        for mut client in &clients {
            client.set_nonblocking(true).unwrap();
            let error = client.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        }
        drop(taken);
        let began = Instant::now();
        for mut client in clients {
            client.set_nonblocking(false).unwrap();
            client.set_read_timeout(Some(ALL_WITHIN)).unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        }
        let recovered = began.elapsed();
        println!(
            "{spent:.2} s of CPU in a second without descriptors, recovered in {recovered:.2?}"
        );
        assert!(spent <= 0.05, "{spent} s");
        assert!(recovered <= HONEST_WITHIN, "{recovered:?}");
        assert!(honest(address) <= HONEST_WITHIN);
    });
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn honest_scrapes_are_answered_amid_a_flood_of_silent_connections() {
    let (_telemetry, address) = listening();
    let began = Instant::now();
    let is_over = || began.elapsed() > Duration::from_secs(2);
    let (flooded, mut took) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut open = VecDeque::new();
            let mut connected = 0;
            while !is_over() {
                open.push_back(TcpStream::connect(address).unwrap());
                connected += 1;
                if open.len() > 200 {
                    open.pop_front();
                }
            }
            connected
        });
        let mut took = Vec::new();
        while !is_over() {
            took.push(honest(address));
            std::thread::sleep(Duration::from_millis(10));
        }
        (flood.join().unwrap(), took)
    });
    took.sort();
    println!(
        "{} honest scrapes amid {flooded} silent connections: median {:.2?}, worst {:.2?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(flooded > 1_000, "{flooded}");
    assert!(took[took.len() - 1] <= HONEST_WITHIN, "{took:.2?}");
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn a_header_that_comes_byte_by_byte_is_cut_at_two_seconds() {
    let (_telemetry, address) = listening();
    let slow: Vec<_> = (0..HELD)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let began = Instant::now();
    let mut open = slow.len();
    let mut worst = Duration::ZERO;
    for byte in b"GET /metrics HTTP/1.1\r\nhost: x\r\nx-slow: 1\r\nx-slower: 2\r\n\r\n"
        .iter()
        .cycle()
    {
        for mut stream in &slow {
            let _ = stream.write_all(&[*byte]);
        }
        open = slow.iter().filter(|stream| !is_closed(stream)).count();
        if open == 0 || began.elapsed() > HEADER_WITHIN + MARGIN {
            break;
        }
        worst = worst.max(honest(address));
        std::thread::sleep(Duration::from_millis(75));
    }
    println!(
        "slow headers ended after {:.2?}; honest scrapes took at most {worst:.2?}",
        began.elapsed()
    );
    assert_eq!(open, 0);
    assert!(worst <= HONEST_WITHIN, "{worst:?}");
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the figures, for whoever asks with --nocapture"
)]
fn readers_that_never_read_are_cut_at_five_seconds_and_hold_up_nobody() {
    let telemetry = Telemetry::builder("orders")
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .series_limit(20_000)
        .build()
        .unwrap();
    let address = telemetry.metrics_address().unwrap();
    // More than the kernel takes for a reader that does not read.
    metrics::with_local_recorder(&telemetry.recorder(), || {
        for number in 0..9_000 {
            metrics::gauge!("wide", "padding" => format!("{number:0>1000}")).set(1.0);
        }
    });
    let idle: Vec<TcpStream> = (0..2 * HELD)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4_096).unwrap();
            socket.connect(&address.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    let honest = honest(address);
    // Peeked at, never read: its state in the kernel says whether the other side holds it.
    let ports: Vec<u16> = idle
        .iter()
        .map(|s| s.local_addr().unwrap().port())
        .collect();
    let held = || established(address.port(), &ports);
    let at_first = held();
    while held() > 0 {
        assert!(began.elapsed() < ALL_WITHIN + MARGIN, "{} held", held());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{at_first} of {} idle readers held, the last cut after {:.2?}; an honest scrape of 9 MB \
         took {honest:.2?}",
        idle.len(),
        began.elapsed()
    );
    assert!((1..=HELD).contains(&at_first), "{at_first}");
}

/// The CPU time of the telemetry's thread; its file is open before descriptors run out.
struct ProcessorTime(File);

impl ProcessorTime {
    fn of_ours() -> Self {
        let mut tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let ours = tasks.find(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap();
            name == "orderscope\n"
        });
        Self(File::open(ours.unwrap().path().join("stat")).unwrap())
    }

    /// Seconds, user's and system's.
    fn read(&mut self) -> f64 {
        self.0.rewind().unwrap();
        let mut stat = String::new();
        self.0.read_to_string(&mut stat).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        // The state is field 3 of proc(5); utime and stime are 14 and 15.
        let ticks = fields
            .skip(11)
            .take(2)
            .map(|field| field.parse::<f64>().unwrap());
        ticks.sum::<f64>() / 100.0
    }
}

/// Connections that this process's listener on `port` still holds to these client ports.
fn established(port: u16, clients: &[u16]) -> usize {
    const ESTABLISHED: &str = "01";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table
        .lines()
        .skip(1)
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let port_of =
                |field: &str| u16::from_str_radix(field.split_once(':').unwrap().1, 16).unwrap();
            port_of(fields[1]) == port
                && clients.contains(&port_of(fields[2]))
                && fields[3] == ESTABLISHED
        })
        .count()
}
