//! F3: answers that come a byte a second, without end, or far larger than they look.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use super::collector::{Behaviour, Collector, Flood};
use super::load::{Service, Wire};
use super::oracle::DESTINATION;
use super::{PATIENCE, at_once, child};

/// Of an attempt, scaled.
const ATTEMPT: Duration = Duration::from_secs(1);
/// What the sockets of both sides and the collector hold beyond what is read.
const HELD_ON_THE_WAY: usize = 12 << 20;
/// With what ten collectors and as many services allocate for themselves.
const MOST_GROWTH: usize = 24 << 20;

#[test]
fn an_answer_without_end_is_cut_and_costs_no_memory() {
    child::passes("faults::floods::answers_are_cut");
}

#[test]
#[ignore = "in a process of its own, whose memory it measures"]
fn answers_are_cut() {
    // Once without measuring: what is allocated for good is not what is looked for.
    at_once(cases(), |(wire, _)| is_cut(wire, Behaviour::Healthy));
    let before = most_resident();
    at_once(cases(), |(wire, behaviour)| is_cut(wire, behaviour));
    let growth = most_resident().saturating_sub(before);
    assert!(growth <= MOST_GROWTH, "F3: {growth} bytes more of memory");
}

fn cases() -> impl Iterator<Item = (Wire, Behaviour)> {
    Wire::ALL.into_iter().flat_map(|wire| {
        let slow = [false, true].map(|head_at_once| Behaviour::Trickle { head_at_once });
        let all = slow.into_iter().chain(Flood::ALL.map(Behaviour::Flood));
        all.map(move |behaviour| (wire, behaviour))
    })
}

fn is_cut(wire: Wire, behaviour: Behaviour) {
    let collector = Collector::start(30);
    let service = Service::of("F3", |builder| {
        builder.destination(wire.destination(DESTINATION, &collector).timeout(ATTEMPT))
    });
    collector.behave(behaviour.clone());
    service.burst(100);
    let begun = Instant::now();
    service.flush(ATTEMPT * 4);
    service.settles(PATIENCE);
    let took = begun.elapsed();
    // One attempt for each of two signals, the second after the pause that the first brings.
    assert!(
        took <= ATTEMPT * 2 + Duration::from_millis(1_500),
        "F3: {wire:?} {behaviour:?} held the sender for {took:?}"
    );
    for seen in collector.requests() {
        assert!(
            seen.flooded <= HELD_ON_THE_WAY,
            "F3: {} bytes of an answer were read: {wire:?} {behaviour:?}",
            seen.flooded
        );
    }
    collector.behave(Behaviour::Healthy);
    service.is_alive(&collector, PATIENCE);
    service.settles(PATIENCE);
    service.check(&collector);
}

/// The most memory that this process had at any time.
fn most_resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    kibibytes.unwrap().parse::<usize>().unwrap() * 1024
}
