//! Threads that record and may make no call to the system.
//!
//! The filter admits what seccomp's strict mode does: read, write (it wakes the worker) and exit.
//! Strict mode kills without a word; the filter names the call that it caught.

use super::{Issued, events::emit, spawn};
use crate::{arguments::Arguments, figures::Figures};
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    mem,
    os::fd::{AsRawFd as _, FromRawFd as _},
    sync::Arc,
    thread::JoinHandle,
};

/// Events of each thread before it is sealed: its own memory and that of the hand-off are there
/// then.
const WARM_UP: u64 = 500_000;
/// The status of a process one of whose sealed threads made a call.
const CAUGHT: libc::c_int = 3;

pub(super) fn start(arguments: &Arguments, issued: &Arc<Issued>) -> Vec<JoinHandle<Figures>> {
    catch_calls();
    let events = arguments.events;
    let produce = |_| {
        let issued = Arc::clone(issued);
        // The sealed thread cannot even end as threads do; this one lives on for it.
        spawn("sealed", move |figures| {
            let (reader, writer) = pipe();
            std::thread::spawn(move || run(&issued, events, &writer));
            let mut line = String::new();
            BufReader::new(reader)
                .read_line(&mut line)
                .expect("it says what it measured");
            let said: Vec<u64> = line
                .split_whitespace()
                .filter_map(|n| n.parse().ok())
                .collect();
            let [p50, p99, p999, most] = said[..] else {
                panic!("a sealed thread ended without a word: {line:?}");
            };
            println!(
                "{}",
                serde_json::json!({ "sealed": {
                    "events": events, "p50": p50, "p99": p99, "p999": p999, "max": most,
                } })
            );
            let _ = figures;
        })
    };
    (0..arguments.threads).map(produce).collect()
}

fn run(issued: &Issued, events: u64, writer: &File) {
    let mut figures = Figures::new();
    for _ in 0..WARM_UP {
        emit(issued, &mut figures);
    }
    figures.enqueue.forget();
    seal();
    for _ in 0..events {
        emit(issued, &mut figures);
    }
    let of = &figures.enqueue;
    let mut line = [0; 128];
    let mut rest = &mut line[..];
    let quantiles = [
        of.quantile(0.5),
        of.quantile(0.99),
        of.quantile(0.999),
        of.most(),
    ];
    for value in quantiles {
        let _ = write!(rest, "{value} ");
    }
    let _ = writeln!(rest);
    let length = 128 - rest.len();
    // SAFETY: the bytes are there; the thread ends without unwinding or freeing anything.
    unsafe {
        libc::write(writer.as_raw_fd(), line.as_ptr().cast(), length);
        libc::syscall(libc::SYS_exit, 0);
    }
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: the descriptors are new, and nobody else's.
    unsafe {
        assert_eq!(
            libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC),
            0,
            "{}",
            io::Error::last_os_error()
        );
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// From here on the calling thread reads, writes and exits; anything else ends the process.
fn seal() {
    const ADMITTED: [libc::c_long; 5] = [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_exit,
        // These two are for the handler that says what it caught.
        libc::SYS_rt_sigreturn,
        libc::SYS_exit_group,
    ];
    let instruction = |code: u32, jump_true: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: 0,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    // The call's number is the first word of what the filter is given.
    let mut filter = vec![instruction(load, 0, 0)];
    for (at, call) in ADMITTED.iter().enumerate() {
        filter.push(instruction(
            equals,
            (ADMITTED.len() - at) as u8,
            *call as u32,
        ));
    }
    filter.push(instruction(answer, 0, libc::SECCOMP_RET_TRAP));
    filter.push(instruction(answer, 0, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // Its memory would be freed by a sealed thread.
    mem::forget(filter);
    // SAFETY: the kernel copies the program.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let failed = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program);
        assert_eq!(failed, 0, "{}", io::Error::last_os_error());
    }
}

fn catch_calls() {
    // SAFETY: the handler calls nothing but write and _exit.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = caught as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(
            libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut()),
            0
        );
    }
}

/// What the kernel says of a call that it did not make.
#[repr(C)]
struct Caught {
    signal: [libc::c_int; 4],
    at: *const libc::c_void,
    call: libc::c_int,
}

extern "C" fn caught(_: libc::c_int, info: *const Caught, _: *const libc::c_void) {
    // SAFETY: the kernel made it, and for SIGSYS it looks so.
    let call = unsafe { (*info).call };
    let mut line = [0; 64];
    let mut rest = &mut line[..];
    let _ = writeln!(rest, "{{\"sealed\":{{\"made_call\":{call}}}}}");
    let length = 64 - rest.len();
    // SAFETY: the bytes are there.
    unsafe {
        libc::write(1, line.as_ptr().cast(), length);
        libc::_exit(CAUGHT);
    }
}
