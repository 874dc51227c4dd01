//! What stands in a Redis, what it answers when it is asked again, and whose clock is believed.

use super::{A_MOMENT, PATIENT, Redis, hashed, opened, real, replica};
use crate::{
    clock::{Clock, ManualClock},
    shared_state::{
        Change, Changes, Id, Left, Meeting, Shard, SharedState, Space, Taken, Told, Unavailable,
    },
};
use std::{
    io::Read as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

fn space(most_bytes: usize) -> Space {
    Space {
        name: "funnel:any".into(),
        most_units: 1_000,
        most_bytes,
        keep: 60_000_000,
    }
}

fn told(unit: u128, at: u64, bytes: usize) -> Told {
    Told {
        unit: Id::from(unit),
        at,
        due: at + 1,
        event: vec![7; bytes],
    }
}

#[tokio::test]
async fn what_is_told_again_is_taken_as_it_was_though_others_have_settled_on() {
    let server = real::Redis::start();
    let [one, other] = [replica(&server), replica(&server)];
    let space = space(usize::MAX);
    let shard = Shard {
        space: &space,
        at: 0,
    };
    let append = async |token| one.append(shard, token, &[told(8, 5, 3)]).await;
    assert_eq!(append(1).await, Ok(vec![Taken::InTime]));
    let due = other.due(shard, 6, 6).await.unwrap();
    assert_eq!((due.settled, due.units.len()), (6, 1));
    assert_eq!(append(1).await, Ok(vec![Taken::InTime]), "asked again");
    assert_eq!(append(2).await, Ok(vec![Taken::Late]), "told later");
    let still = other.due(shard, 6, 6).await.unwrap();
    assert_eq!(still.units[0].bytes, due.units[0].bytes, "once");
}

#[tokio::test]
async fn units_are_bounded_in_bytes_over_all_and_make_room_when_they_go() {
    let server = real::Redis::start();
    let replica = replica(&server);
    // Each of its eight shards has a thousand.
    let space = space(8_000);
    let shard = Shard {
        space: &space,
        at: 0,
    };
    let mut token = 0;
    let mut append = async |unit, bytes| {
        token += 1;
        let taken = replica.append(shard, token, &[told(unit, 5, bytes)]).await;
        taken.unwrap().remove(0)
    };
    assert_eq!(append(8, 600).await, Taken::InTime);
    assert_eq!(append(8, 300).await, Taken::InTime);
    assert_eq!(append(16, 200).await, Taken::Full);
    let due = replica.due(shard, 6, 6).await.unwrap();
    let changes = Changes {
        token: 1,
        changes: vec![Change {
            unit: due.units[0].unit,
            version: due.units[0].version,
            left: Some(Left {
                bytes: vec![0; 100],
                due: 50,
            }),
            opened: 1,
        }],
    };
    replica.commit(shard, &changes).await.unwrap();
    assert_eq!(append(16, 200).await, Taken::Late, "settled");
    let taken = replica.append(shard, 90, &[told(16, 7, 700)]).await;
    assert_eq!(taken, Ok(vec![Taken::InTime]));
    let taken = replica.append(shard, 91, &[told(24, 7, 300)]).await;
    assert_eq!(taken, Ok(vec![Taken::Full]));
}

#[tokio::test]
async fn what_nobody_of_ours_put_there_is_given_up_and_counted_and_the_rest_is_found() {
    let server = real::Redis::start();
    let replica = replica(&server);
    let space = space(usize::MAX);
    let shard = Shard {
        space: &space,
        at: 0,
    };
    for foreign in ["string.rep('x', 10000000)", "''", "'x'"] {
        let told = [told(8, 5, 3), told(16, 5, 3)];
        server.say(&["FLUSHALL"]);
        // Another has given an answer to the first token.
        let taken = replica.append(shard, foreign.len() as u64, &told).await;
        assert_eq!(taken, Ok(vec![Taken::InTime; 2]));
        let script = format!(
            "local units = redis.call('HKEYS', KEYS[1]) \
             redis.call('HSET', KEYS[1], units[1], {foreign}) \
             redis.call('HSET', KEYS[1], 'short', {foreign}) \
             return redis.call('ZADD', KEYS[2], 1, 'short')"
        );
        let key = |what| format!("orderscope:{{funnel:any:0}}:1:{what}");
        server.say(&["EVAL", &script, "2", &key("units"), &key("due")]);
        let due = replica.due(shard, 6, 6).await.unwrap();
        assert_eq!((due.units.len(), due.garbled), (1, 2), "{foreign}");
        assert_eq!(due.units[0].bytes, [0, 7, 7, 7]);
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_settles_nothing_that_has_not_happened_and_asks_for_nothing_of_it() {
    let server = real::Redis::start();
    let [ahead, right] = [replica(&server), replica(&server)];
    let space = space(usize::MAX);
    let shard = Shard {
        space: &space,
        at: 0,
    };
    let clock = Clock::system();
    let now = clock.anchor().unix_nanos(clock.now()) / 1_000;
    let an_hour = 3_600_000_000;
    // More than are looked at together.
    let soon: Vec<_> = (0..100)
        .map(|unit| told(8 * unit, now + 60_000_000, 3))
        .collect();
    let taken = right.append(shard, 1, &soon).await.unwrap();
    assert_eq!(taken, vec![Taken::InTime; 100]);
    let due = ahead
        .due(shard, now + an_hour - 10_000_000, now + an_hour)
        .await
        .unwrap();
    assert!(due.settled < now + an_hour / 2, "{due:?} at {now}");
    assert_eq!((due.units.len(), due.is_cut), (0, false));
    let taken = right
        .append(shard, 2, &[told(8, now + 60_000_000, 3)])
        .await;
    assert_eq!(taken, Ok(vec![Taken::InTime]));
}

#[tokio::test]
async fn ids_are_met_first_by_one_replica_alone_however_often_it_asks() {
    let server = real::Redis::start();
    let [one, other] = [replica(&server), replica(&server)];
    let ids = |token| -> Vec<_> {
        let met = (0..256).map(|id| Meeting {
            id: hashed(id),
            token,
        });
        met.collect()
    };
    let (by_one, by_other) = (ids(1), ids(2));
    let all = Ok(vec![true; 256]);
    assert_eq!(one.are_first(3, &by_one[..100]).await, Ok(vec![true; 100]));
    let met = other.are_first(3, &by_other).await.unwrap();
    assert_eq!(met.iter().filter(|is_first| **is_first).count(), 156);
    assert!(!met[..100].contains(&true));
    assert_eq!(one.are_first(3, &by_one[..100]).await, Ok(vec![true; 100]));
    let keys = server.say(&["KEYS", "*ids*"]);
    let key = keys.lines().find(|line| line.starts_with("orderscope"));
    server.say(&["DEL", key.unwrap()]);
    server.say(&["LPUSH", key.unwrap(), "something else"]);
    let met = other.are_first(3, &by_other).await.unwrap();
    let firsts = met.iter().filter(|is_first| **is_first).count();
    assert!(
        [156, 157].contains(&firsts),
        "what nobody knows is new: {firsts}"
    );
    assert_eq!(one.are_first(4, &ids(3)).await, all, "of another shard");
}

#[tokio::test]
async fn with_a_secret_nobody_finds_an_id_by_guessing_it() {
    const CANARY: u128 = u128::from_be_bytes(*b"canary-canary-16");
    let server = real::Redis::start();
    let open = |redis: Redis| opened(&redis, PATIENT);
    let told_by = async |replica: Arc<dyn SharedState>| {
        server.say(&["FLUSHALL"]);
        let space = space(usize::MAX);
        let shard = Shard {
            space: &space,
            at: 0,
        };
        let (id, token) = (Id::from(CANARY), 1);
        replica
            .append(shard, 1, &[told(CANARY, 5, 3)])
            .await
            .unwrap();
        replica
            .are_first(0, &[Meeting { id, token }])
            .await
            .unwrap();
        replica.add("users", 1, &[id]).await.unwrap();
        let units = server.say(&["HKEYS", "orderscope:{funnel:any:0}:1:units"]);
        units + &server.say(&["KEYS", "*"])
    };
    let shows = |said: &str| {
        [
            said.contains("canary"),
            said.contains(&format!("{CANARY:032x}")),
        ]
    };
    let plain = told_by(open(Redis::at(server.url()))).await;
    assert_eq!(shows(&plain), [true, true], "{plain}");
    let secret = "a secret of this deployment";
    let keyed = || open(Redis::at(server.url()).secret(secret));
    let said = told_by(keyed()).await;
    assert_eq!(shows(&said), [false, false], "{said}");
    let again = Meeting {
        id: Id::from(CANARY),
        token: 2,
    };
    let met = keyed().are_first(0, &[again]).await;
    assert_eq!(met, Ok(vec![false]), "known to all who have it");
    let short = Redis::at(server.url()).secret("short");
    let error = short.open(&Clock::system()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the secret of the shared state is \"5 bytes\", but must be at least 16 bytes"
    );
}

#[tokio::test]
async fn after_three_failures_nobody_is_asked_for_a_second() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    // Takes a question and hangs up, for as long as the test's process is there.
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = client.read(&mut [0; 64]);
        }
    });
    let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
    let replica = Redis::at(format!("redis://{address}"))
        .open_in((1, A_MOMENT), PATIENT, &hands.clock())
        .unwrap();
    let ask_often = async || {
        for _ in 0..10 {
            let answer = replica.answer().await;
            assert_eq!(answer, Err(Unavailable::Unreachable));
        }
        // Whoever was hung up on had been counted.
        connections.load(Ordering::Relaxed)
    };
    assert_eq!(ask_often().await, 3);
    hands.advance(Duration::from_millis(999));
    assert_eq!(ask_often().await, 3);
    hands.advance(Duration::from_millis(1));
    assert_eq!(ask_often().await, 4, "once after a second");
}
