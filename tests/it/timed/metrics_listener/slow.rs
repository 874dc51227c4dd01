//! Who connects and is silent, slow, or never reads.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use orderscope::Telemetry;
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::{ALL_WITHIN, HEADER_WITHIN, HELD, HONEST_WITHIN, MARGIN, attempt, honest, listening};
use crate::descriptors::{self, Descriptors};

#[test]
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
fn honest_scrapes_are_answered_amid_a_flood_of_silent_connections() {
    let (_telemetry, address) = listening();
    let began = Instant::now();
    let is_over = || began.elapsed() > Duration::from_secs(2);
    let mut asked = 0;
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
            // One that is closed before its request is read tries again, as a scraper does.
            asked += 1;
            took.extend(attempt(address));
            std::thread::sleep(Duration::from_millis(10));
        }
        (flood.join().unwrap(), took)
    });
    took.sort();
    println!(
        "{} of {asked} honest scrapes answered amid {flooded} silent connections: median {:.2?}, \
         worst {:.2?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    assert!(flooded > 1_000, "{flooded}");
    assert!(10 * took.len() >= 9 * asked, "{} of {asked}", took.len());
    assert!(took[took.len() - 1] <= HONEST_WITHIN, "{took:.2?}");
}

#[test]
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
fn readers_that_never_read_are_cut_at_five_seconds_and_hold_up_nobody() {
    let telemetry = Telemetry::builder("orders")
        .metrics_listener((Ipv4Addr::LOCALHOST, 0).into())
        .series_limit(20_000)
        .build()
        .unwrap();
    let address = telemetry.metrics_address().unwrap();
    // More than the kernel takes for a reader that does not read.
    metrics::with_local_recorder(&telemetry.recorder(), || {
        for number in 0..6_000 {
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
    // Never read, not even to look: the kernel says whether the other side holds them.
    let ports: Vec<u16> = idle
        .iter()
        .map(|s| s.local_addr().unwrap().port())
        .collect();
    let held = || established(address.port(), &ports);
    let at_first = held();
    while held() > 0 {
        assert!(began.elapsed() < ALL_WITHIN + 2 * MARGIN, "{} held", held());
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "{at_first} of {} idle readers held, the last cut after {:.2?}; an honest scrape of 6 MB \
         took {honest:.2?}",
        idle.len(),
        began.elapsed()
    );
    assert!((1..=HELD).contains(&at_first), "{at_first}");
    assert!(honest < Duration::from_secs(2), "{honest:?}");
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
