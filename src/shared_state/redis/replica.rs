//! The state that replicas share, as one of them sees it.

use super::link::{Link, Question, Server};
use crate::{
    clock::Clock,
    shared_state::{
        Answer, Changes, Decision, Done, Due, Found, Id, KEPT_DAYS, Limit, MOST_BYTES, MOST_DUE,
        Meeting, Met, Shard, SharedState, Taken, Told, Unavailable, seen,
    },
};
use redis::{FromRedisValue, Pipeline, RedisError, Script, ScriptInvocation, aio::ConnectionLike};
use ring::hmac::{Key, sign};
use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};
use tokio::time;
use uuid::Uuid;

/// Of what is kept there: what another release writes in another form is under another name.
const FORMAT: u8 = 1;
/// Milliseconds for which it is known when an error was met last: 90 days.
const MET_KEPT: u64 = 90 * A_DAY * 1_000;
const A_DAY: u64 = 24 * 3_600;

/// How long is waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within {
    /// For the answer to one question, with all of its ways.
    pub(super) question: Duration,
    /// For a decision.
    pub(super) decision: Duration,
}

pub(super) struct Replica {
    link: Link,
    /// Of its own, since a request waits for it.
    link_of_limits: Link,
    within: Within,
    prefix: Box<str>,
    shards: u16,
    lease: Duration,
    /// Among all that ever were.
    me: String,
    secret: Option<Key>,
    append: Script,
    due: Script,
    commit: Script,
    first: Script,
    decide: Script,
    meet: Script,
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Replica").field(&self.link).finish()
    }
}

/// Names of one shard, all in one slot of a cluster.
struct Keys(String);

impl Keys {
    fn of(&self, what: &str) -> String {
        format!("{}:{what}", self.0)
    }
}

impl Replica {
    pub(super) fn new(
        server: Server,
        prefix: Box<str>,
        secret: Option<Key>,
        (shards, lease): (u16, Duration),
        within: Within,
        clock: Clock,
    ) -> Self {
        let server = Arc::new(server);
        Self {
            link: Link::new(Arc::clone(&server), within.question, clock.clone()),
            link_of_limits: Link::new(server, within.decision.mul_f32(0.8), clock),
            within,
            prefix,
            secret,
            shards,
            lease,
            me: Uuid::new_v4().to_string(),
            append: Script::new(include_str!("append.lua")),
            due: Script::new(include_str!("due.lua")),
            commit: Script::new(include_str!("commit.lua")),
            first: Script::new(include_str!("first.lua")),
            decide: Script::new(include_str!("decide.lua")),
            meet: Script::new(include_str!("meet.lua")),
        }
    }

    fn keys(&self, shard: Shard<'_>) -> Keys {
        Keys(format!(
            "{}:{{{}:{}}}:{FORMAT}",
            self.prefix, shard.space.name, shard.at
        ))
    }

    /// As it stands there.
    fn told(&self, id: Id) -> Id {
        let Some(key) = &self.secret else {
            return id;
        };
        let hash = sign(key, id.as_bytes());
        let told = hash.as_ref().first_chunk();
        // A hash is longer.
        told.map_or(id, |told| Id(*told))
    }

    fn sketch(&self, of: &str, day: u32) -> String {
        format!("{}:{{{of}}}:{day}", self.prefix)
    }
}

/// A script.
struct Run<'a, A>(ScriptInvocation<'a>, PhantomData<fn() -> A>);

impl<'a, A: FromRedisValue + Send> Run<'a, A> {
    fn of(script: ScriptInvocation<'a>) -> Self {
        Self(script, PhantomData)
    }
}

impl<A: FromRedisValue + Send> Question for Run<'_, A> {
    type Answer = A;

    async fn ask(&self, of: &mut (impl ConnectionLike + Send)) -> Result<A, RedisError> {
        self.0.invoke_async(of).await
    }
}

/// Commands, together.
struct All<A>(Pipeline, PhantomData<fn() -> A>);

impl<A: FromRedisValue + Send> All<A> {
    fn of(commands: Pipeline) -> Self {
        Self(commands, PhantomData)
    }
}

impl<A: FromRedisValue + Send> Question for All<A> {
    type Answer = A;

    async fn ask(&self, of: &mut (impl ConnectionLike + Send)) -> Result<A, RedisError> {
        self.0.query_async(of).await
    }
}

impl SharedState for Replica {
    fn scope(&self) -> &'static str {
        "global"
    }

    fn answers_at_once(&self) -> bool {
        false
    }

    fn answer(&self) -> Answer<'_, ()> {
        let mut ping = redis::pipe();
        ping.cmd("PING").ignore();
        Box::pin(async move { self.link.ask(&All::<()>::of(ping)).await })
    }

    fn shards(&self) -> u16 {
        self.shards
    }

    fn append<'a>(
        &'a self,
        shard: Shard<'a>,
        token: u64,
        told: &'a [Told],
    ) -> Answer<'a, Vec<Taken>> {
        let keys = self.keys(shard);
        let of_one = usize::from(self.shards.max(1));
        let mut run = self.append.key(keys.of("meta"));
        run.key(keys.of("due"))
            .key(keys.of("units"))
            .key(keys.of(&self.me))
            .arg(token)
            .arg(shard.space.most_units / of_one)
            .arg(MOST_BYTES)
            .arg(shard.space.most_bytes / of_one)
            .arg(millis(shard.space.keep));
        for told in told {
            run.arg(self.told(told.unit).as_bytes().as_slice())
                .arg(told.at)
                .arg(told.due)
                .arg(told.event.as_slice());
        }
        Box::pin(async move {
            let said = self.link.ask(&Run::<String>::of(run)).await?;
            let taken = said.bytes().map(|digit| match digit {
                b'0' => Taken::InTime,
                b'1' => Taken::Late,
                _ => Taken::Full,
            });
            of_each(taken.collect(), told.len())
        })
    }

    fn due<'a>(&'a self, shard: Shard<'a>, settled: u64, now: u64) -> Answer<'a, Due> {
        let keys = self.keys(shard);
        let mut run = self.due.key(keys.of("meta"));
        run.key(keys.of("due"))
            .key(keys.of("units"))
            .key(keys.of("lease"))
            .arg(&self.me)
            .arg(u64::try_from(self.lease.as_millis().max(1)).unwrap_or(u64::MAX))
            .arg(settled)
            .arg(now)
            .arg(MOST_DUE)
            .arg(millis(shard.space.keep))
            // A version, what is left, what was told since.
            .arg(8 + 2 * MOST_BYTES);
        Box::pin(async move {
            let words = self.link.ask(&Run::<Vec<Vec<u8>>>::of(run)).await?;
            if words.is_empty() {
                return Ok(Due {
                    others_for: u64::try_from(self.lease.as_micros()).unwrap_or_default() / 2,
                    ..Due::default()
                });
            }
            found(&words).ok_or(Unavailable::Refused)
        })
    }

    fn commit<'a>(&'a self, shard: Shard<'a>, changes: &'a Changes) -> Answer<'a, Done> {
        let keys = self.keys(shard);
        let mut run = self.commit.key(keys.of("meta"));
        run.key(keys.of("due"))
            .key(keys.of("units"))
            .key(keys.of(&self.me))
            .arg(changes.token)
            .arg(millis(shard.space.keep));
        for change in &changes.changes {
            let (bytes, due) = match &change.left {
                Some(left) => (left.bytes.as_slice(), left.due),
                None => (&[][..], 0),
            };
            run.arg(change.unit.as_bytes().as_slice())
                .arg(change.version.to_be_bytes().as_slice())
                .arg(bytes)
                .arg(due)
                .arg(change.opened);
        }
        Box::pin(async move {
            let said = self.link.ask(&Run::<String>::of(run)).await?;
            let (digits, open) = said.split_once(' ').ok_or(Unavailable::Refused)?;
            Ok(Done {
                are_done: of_each(is_each(digits), changes.changes.len())?,
                open: at_least_none(open.as_bytes()).ok_or(Unavailable::Refused)?,
            })
        })
    }

    fn add<'a>(&'a self, of: &'a str, day: u32, ids: &'a [Id]) -> Answer<'a, ()> {
        let sketch = self.sketch(of, day);
        let kept = u64::from(KEPT_DAYS) * A_DAY;
        let mut add = redis::pipe();
        add.cmd("PFADD").arg(&sketch).ignore();
        for id in ids {
            add.arg(self.told(*id).as_bytes().as_slice());
        }
        add.cmd("EXPIRE").arg(&sketch).arg(kept).ignore();
        Box::pin(async move { self.link.ask(&All::<()>::of(add)).await })
    }

    fn count<'a>(&'a self, of: &'a str, day: u32, days: u32) -> Answer<'a, u64> {
        let first = day.saturating_add(1).saturating_sub(days);
        let mut count = redis::pipe();
        count.cmd("PFCOUNT");
        for day in first..=day {
            count.arg(self.sketch(of, day));
        }
        Box::pin(async move {
            let (count,): (u64,) = self.link.ask(&All::of(count)).await?;
            Ok(count)
        })
    }

    fn are_first<'a>(&'a self, shard: u16, met: &'a [Meeting]) -> Answer<'a, Vec<bool>> {
        let mut run = self.first.arg(millis(seen::KEPT));
        for met in met {
            let id = self.told(met.id).as_u128();
            run.key(format!("{}:{{ids:{shard}}}:{id:032x}", self.prefix));
            run.arg(met.token);
        }
        Box::pin(async move {
            let said = self.link.ask(&Run::<String>::of(run)).await?;
            of_each(is_each(&said), met.len())
        })
    }

    fn meet<'a>(&'a self, of: &'a str, at: u64, release: &'a str) -> Answer<'a, Option<Met>> {
        let mut run = self.meet.key(format!("{}:{{{of}}}:met", self.prefix));
        run.arg(at).arg(release).arg(MET_KEPT);
        Box::pin(async move {
            let (at, release): (String, String) = self.link.ask(&Run::of(run)).await?;
            let met = |at| Met {
                at,
                release: release.into(),
            };
            Ok(at.parse().ok().map(met))
        })
    }

    fn decide<'a>(&'a self, of: &'a str, limit: Limit, key: Id, now: u64) -> Answer<'a, Decision> {
        let name = format!("{}:{{{of}:{:032x}}}", self.prefix, self.told(key).as_u128());
        let mut run = self.decide.key(name);
        run.arg(now).arg(limit.of_one()).arg(limit.most);
        Box::pin(async move {
            // In which others may have to be asked first.
            let run = Run::<i64>::of(run);
            let asking = time::timeout(self.within.decision, self.link_of_limits.ask(&run));
            let rest = asking.await.unwrap_or(Err(Unavailable::Timeout))?;
            Ok(match u32::try_from(rest) {
                Ok(left) => Decision::Allowed { left },
                Err(_) => Decision::Refused {
                    after: rest.unsigned_abs(),
                },
            })
        })
    }
}

/// Where there is not one answer to each, no script of ours said it.
fn of_each<A>(answers: Vec<A>, asked: usize) -> Result<Vec<A>, Unavailable> {
    match answers.len() == asked {
        true => Ok(answers),
        false => Err(Unavailable::Refused),
    }
}

fn is_each(digits: &str) -> Vec<bool> {
    digits.bytes().map(|digit| digit == b'1').collect()
}

/// `None`: no script of ours said it.
fn found(words: &[Vec<u8>]) -> Option<Due> {
    let (head, of_units) = words.split_at_checked(3)?;
    let units = of_units.chunks_exact(2).map(|pair| {
        let (version, bytes) = pair[1].split_first_chunk()?;
        Some(Found {
            unit: Id(pair[0].as_slice().try_into().ok()?),
            version: u64::from_be_bytes(*version),
            bytes: bytes.to_vec(),
        })
    });
    let units: Vec<_> = units.collect::<Option<_>>()?;
    Some(Due {
        settled: std::str::from_utf8(&head[0]).ok()?.parse().ok()?,
        is_cut: units.len() >= MOST_DUE,
        units,
        open: at_least_none(&head[1])?,
        garbled: at_least_none(&head[2])?,
        others_for: 0,
    })
}

/// What is kept may have been thrown away since it was counted.
fn at_least_none(number: &[u8]) -> Option<u64> {
    let number: i64 = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some(u64::try_from(number).unwrap_or_default())
}

/// Rounded up.
fn millis(micros: u64) -> u64 {
    micros.div_ceil(1_000)
}
