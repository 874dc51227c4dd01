//! A process without descriptors.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::net::TcpStream;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::{ALL_WITHIN, HONEST_WITHIN, honest, listening};
use crate::descriptors::{self, Descriptors};

#[test]
fn out_of_descriptors_it_waits_without_work_and_recovers() {
    descriptors::with(Descriptors::Only(64), || {
        let (_telemetry, address) = listening();
        honest(address);
        // Connecting takes no further descriptor.
        let clients = [(); 3].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
        let mut processor_time = ProcessorTime::of_ours();
        let mut taken = Vec::new();
        // Twice: the listener may be about to close what it served.
        for _ in 0..2 {
            while let Ok(file) = File::open("/dev/null") {
                taken.push(file);
            }
            std::thread::sleep(Duration::from_millis(200));
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
