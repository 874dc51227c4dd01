//! What replicas have in common of an error: when any of them met it last, in which release, and whom.

use super::{ErrorGroups, group::Group};
use crate::{
    pipeline::{Pipeline, Sharing},
    records::{Fields, Log, Record, Severity, Signal},
    semconv,
    shared_state::{Id, Met, Unavailable},
};
use compact_str::CompactString;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How often it is asked how many users a group met.
const PAUSE: Duration = Duration::from_secs(10);
/// Days over which users are counted.
const DAYS: u32 = 28;
const A_DAY: u64 = 24 * 3_600;
const REGRESSION: &str = "orderscope.error.regression";

impl ErrorGroups {
    /// Tells what became of groups since the last time, and asks what others met of them. Nothing, where
    /// nobody shares.
    pub(crate) async fn settle(&self, pipeline: &Pipeline) -> Result<(), Unavailable> {
        if !self.are_shared() {
            return Ok(());
        }
        let groups = self
            .groups
            .hold()
            .map(|groups| groups.values().cloned().collect());
        let groups: Vec<Arc<Group>> = groups.unwrap_or_default();
        let now = self.times.now();
        let pause = u64::try_from(PAUSE.as_nanos()).unwrap_or(u64::MAX);
        let counts = now.saturating_sub(self.counted.load(Ordering::Relaxed)) >= pause;
        let mut answer = Ok(());
        for group in groups.iter().filter(|group| !group.is_of_others()) {
            answer = Sharing::worse(answer, self.meet(group, pipeline).await);
            answer = Sharing::worse(answer, self.tell_users(group, counts).await);
            if !matches!(answer, Ok(()) | Err(Unavailable::WrongType)) {
                return answer;
            }
        }
        if counts {
            self.counted.store(now, Ordering::Relaxed);
        }
        answer
    }

    async fn meet(&self, group: &Group, pipeline: &Pipeline) -> Result<(), Unavailable> {
        if group.last_told() == group.met() {
            return Ok(());
        }
        let told = group.to_meet();
        let at = self.times.unix_micros(told);
        // It may have come many times since somebody was told.
        let first = self.times.unix_micros(group.first_since_met());
        let release = pipeline.settings.release.as_deref().unwrap_or_default();
        let name = name_of(group);
        let before = self.sharing.state().meet(&name, at, release).await?;
        group.is_met(told);
        let quiet = u64::try_from(self.quiet.as_micros()).unwrap_or(u64::MAX);
        if let Some(before) = before.filter(|before| first.saturating_sub(before.at) > quiet) {
            let away = Duration::from_micros(first.saturating_sub(before.at));
            group.has_come_back(&before.release);
            report(pipeline, group, &before, away);
        }
        Ok(())
    }

    async fn tell_users(&self, group: &Arc<Group>, counts: bool) -> Result<(), Unavailable> {
        let mut users: Vec<Id> = Vec::new();
        for site in self.sites.of_group(group) {
            users.append(&mut site.take_untold());
        }
        let (state, name) = (self.sharing.state(), name_of(group));
        let day = self.times.unix_micros(self.times.now()) / 1_000_000 / A_DAY;
        let day = u32::try_from(day).unwrap_or(u32::MAX);
        if !users.is_empty() {
            users.sort_unstable();
            users.dedup();
            if let Err(why) = state.add(&name, day, &users).await {
                if let Some(site) = self.sites.of_group(group).next() {
                    site.give_back(users);
                }
                return Err(why);
            }
        }
        if counts || !users.is_empty() {
            group.met_users(state.count(&name, day, DAYS).await?);
        }
        Ok(())
    }
}

fn name_of(group: &Group) -> String {
    format!("error:{}", group.fingerprint())
}

/// As a log record with a name, where a destination takes logs.
fn report(pipeline: &Pipeline, group: &Group, before: &Met, away: Duration) {
    if !pipeline.handoff.wants(Signal::Logs) {
        return;
    }
    let record = Record::Log(Log {
        // It is of no one request.
        context: None,
        at: pipeline.clock.now(),
        severity: Severity::Warn,
        event_name: CompactString::const_new(REGRESSION),
    });
    let describe = |fields: &mut Fields| {
        fields.word(semconv::ERROR_FINGERPRINT, &group.fingerprint().to_string());
        fields.word(semconv::EXCEPTION_TYPE, &group.last().type_name);
        fields.word(semconv::ERROR_PREVIOUS_RELEASE, &before.release);
        fields.float(semconv::ERROR_AWAY, away.as_secs_f64());
    };
    pipeline.record(record, describe);
}

#[cfg(test)]
mod tests {
    use super::super::{Told, Whom};
    use crate::{
        clock::ManualClock,
        delivery::Handoff,
        metrics::Limits,
        pipeline::{Pipeline, Settings},
        records::{Raised, Record, Severity, Signal},
        shared_state::{SharedState, replicas::Replicas},
        snapshot::ErrorGroup,
        stack::{Fingerprint, RawStack},
    };
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    /// A replica of one release.
    fn replica(hands: &ManualClock, state: &Arc<Replicas>, release: &str) -> &'static Pipeline {
        let settings = Settings {
            release: Some(release.to_owned()),
            shared_state: Arc::<Replicas>::clone(state) as Arc<dyn SharedState>,
            ..Settings::default()
        };
        let handoff = Handoff::new(1 << 20, &[Signal::Logs]);
        Pipeline::leaked(
            Limits::default(),
            hands.clock(),
            handoff,
            settings,
            Arc::default(),
        )
    }

    fn raise(replica: &Pipeline, user: &str) {
        let groups = &replica.error_groups;
        let whom = Whom {
            user: Some(user),
            endpoint: None,
        };
        groups.count(groups.site(7), whom);
        let told = Told {
            type_name: "fmt::Error",
            message: "planted",
            function: None,
            severity: Severity::Error,
            is_handled: true,
            user: None,
            route: None,
        };
        let fingerprint = Fingerprint::of_words(&["planted"]);
        let raised = Raised {
            stack: RawStack::NONE,
            site: 7,
            fingerprint: None,
        };
        groups.find(&raised, fingerprint, told, replica.clock.now());
    }

    async fn group(replica: &Pipeline) -> ErrorGroup {
        replica.error_groups.settle(replica).await.unwrap();
        replica.error_groups.shown(None).remove(0)
    }

    #[tokio::test]
    async fn an_error_that_was_away_has_come_back_in_another_release_whoever_met_it_before() {
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
        let state = Arc::<Replicas>::default();
        let [old, other] = [(); 2].map(|()| replica(&hands, &state, "1.0"));
        raise(old, "u-1");
        assert_eq!(group(old).await.regressions, 0);
        hands.advance(Duration::from_secs(50 * 60));
        raise(other, "u-2");
        assert_eq!(
            group(other).await.regressions,
            0,
            "the first met it less than an hour ago"
        );
        hands.advance(Duration::from_secs(50 * 60));
        let new = replica(&hands, &state, "1.1");
        raise(new, "u-3");
        assert_eq!(group(new).await.regressions, 0);

        hands.advance(Duration::from_secs(3 * 3_600));
        let newer = replica(&hands, &state, "1.2");
        raise(newer, "u-1");
        let come_back = group(newer).await;
        assert_eq!((come_back.regressions, come_back.affected_users), (1, 3));
        assert_eq!(come_back.previous_release.as_deref(), Some("1.1"));
        let records = newer.handoff.drain();
        let names = records.into_iter().filter_map(|(record, _)| match record {
            Record::Log(log) => Some(log.event_name.to_string()),
            _ => None,
        });
        assert_eq!(names.collect::<Vec<_>>(), ["orderscope.error.regression"]);
        raise(newer, "u-1");
        assert_eq!(group(newer).await.regressions, 1, "once");
    }
}
