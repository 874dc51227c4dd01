//! A push in several requests, each of which ends for itself.

use super::*;
use crate::metrics::{Counter, Family};
use proptest::prelude::*;

type Name = (String, Vec<(String, String)>);

/// Each point of a delta: its series, and from when to when.
fn intervals(metrics: &[Metric]) -> Vec<(Name, u64, u64)> {
    let mut intervals = Vec::new();
    for metric in metrics {
        let mut put = |attributes: &[KeyValue], start: u64, end: u64| {
            let attributes = attributes.iter().map(text).collect();
            intervals.push(((metric.name.clone(), attributes), start, end));
        };
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, 1);
                for it in &sum.data_points {
                    put(&it.attributes, it.start_time_unix_nano, it.time_unix_nano);
                }
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, 1);
                for it in &histogram.data_points {
                    put(&it.attributes, it.start_time_unix_nano, it.time_unix_nano);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    intervals
}

const PAID: Descriptor = Descriptor::counter("orders.paid", Unit::things("{order}"), "");

const CITIES: [&str; 6] = ["Bari", "Rome", "Genoa", "Turin", "Milan", "Lecce"];

#[derive(Clone, Debug)]
enum Step {
    Count(usize, u64),
    Wait(usize, u64),
    Observe(u32),
    /// The bound, and what becomes of the requests; those beyond are not sent.
    Push(usize, Vec<Conclusion>),
}

fn step() -> impl Strategy<Value = Step> {
    let conclusion = prop::sample::select(vec![
        Conclusion::Delivered,
        Conclusion::TooLarge,
        Conclusion::Refused,
        Conclusion::Ambiguous,
    ]);
    // A request of nothing takes some 300 bytes; no point more than 150.
    let most = prop_oneof![Just(usize::MAX), Just(0), 300..3_000_usize];
    prop_oneof![
        (0..CITIES.len(), 1..1_000_u64).prop_map(|(city, by)| Step::Count(city, by)),
        (0..CITIES.len(), 0..3_000_u64).prop_map(|(city, millis)| Step::Wait(city, millis)),
        (1..100_u32).prop_map(Step::Observe),
        (most, prop::collection::vec(conclusion, 0..8))
            .prop_map(|(most, all)| Step::Push(most, all)),
    ]
}

/// What a backend, and who keeps the accounts, have been told.
#[derive(Default)]
struct Told {
    totals: Totals,
    until: BTreeMap<Name, u64>,
    /// The request that is to come again as it is, unless it is cut.
    again: Option<Vec<u8>>,
}

impl Told {
    fn push(
        &mut self,
        push: &mut MetricsPush,
        most: usize,
        conclusions: &[Conclusion],
    ) -> Result<usize, TestCaseError> {
        push.begin();
        let mut said = 0;
        for conclusion in conclusions {
            let Some(body) = push.request(most) else {
                self.again = None;
                return Ok(said);
            };
            said += 1;
            if let Some(again) = self.again.take()
                && again.len() <= most
            {
                prop_assert_eq!(&body, &again);
            }
            let metrics = decoded(&body);
            let points = intervals(&metrics);
            prop_assert!(
                body.len() <= most || points.len() == 1,
                "{} of {most}",
                body.len()
            );
            prop_assert!(!points.is_empty(), "a request of nothing");
            let is_cut = *conclusion == Conclusion::TooLarge && points.len() > 1;
            let is_lost = *conclusion == Conclusion::TooLarge && !is_cut;
            prop_assert_eq!(push.concluded(*conclusion), is_lost);
            if !is_cut {
                // One that is too large by itself is given up, and accounted for.
                self.count(&metrics, points)?;
            }
        }
        self.again = push.request(most);
        Ok(said)
    }

    fn count(
        &mut self,
        metrics: &[Metric],
        points: Vec<(Name, u64, u64)>,
    ) -> Result<(), TestCaseError> {
        for (series, start, end) in points {
            prop_assert!(start <= end);
            let until = self.until.insert(series, end).unwrap_or_default();
            prop_assert!(until <= start, "{until} > {start}: said twice");
        }
        for (series, (buckets, sum)) in totals(metrics) {
            let (all, total) = self.totals.entry(series).or_default();
            all.resize(buckets.len(), 0);
            all.iter_mut()
                .zip(&buckets)
                .for_each(|(all, more)| *all += more);
            *total += sum;
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn deltas_add_up_to_what_was_recorded_however_their_parts_end(
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let setting = Setting::new();
        let placed = setting.registry.counter(&PLACED);
        let cpu = setting.registry.observed_counter(&CPU).with(&[]);
        let wait = setting.registry.histogram(&WAIT);
        let mut push = setting.push(Temporality::Delta);
        let (mut told, mut observed) = (Told::default(), 0.0);
        for step in steps {
            setting.hands.advance(Duration::from_millis(7));
            match step {
                Step::Count(city, by) => placed.with(&[("city", CITIES[city])]).add(by),
                Step::Wait(city, millis) => wait
                    .with(&[("city", CITIES[city])])
                    .record_duration(Duration::from_millis(millis), None),
                Step::Observe(more) => {
                    observed += f64::from(more);
                    cpu.set(observed);
                }
                Step::Push(most, conclusions) => {
                    told.push(&mut push, most, &conclusions)?;
                }
            }
        }
        // What was frozen, and what came since.
        let all = [Conclusion::Delivered; 1_000];
        told.push(&mut push, usize::MAX, &all)?;
        told.push(&mut push, usize::MAX, &all)?;
        prop_assert_eq!(told.push(&mut push, usize::MAX, &all)?, 0, "nothing is left to say");
        for (series, (buckets, sum)) in totals_of_the_snapshot(&Snapshot::of(setting.registry)) {
            let (all, total) = told.totals.remove(&series).unwrap_or_default();
            if !all.is_empty() || sum > 0.0 {
                prop_assert_eq!(all, buckets);
            }
            prop_assert!((total - sum).abs() < 1e-6, "{series:?}: {total} of {sum}");
        }
        prop_assert!(told.totals.is_empty());
    }

    #[test]
    fn cumulative_parts_together_say_what_the_snapshot_says(most in 300..3_000_usize) {
        let setting = Setting::new();
        record_some_of_everything(setting.registry);
        let paid = setting.registry.counter(&PAID);
        CITIES.iter().for_each(|city| paid.with(&[("city", city)]).add(1));
        let mut push = setting.push(Temporality::Cumulative);
        let bodies = push.all(most);
        // One that is interrupted goes on; the next says all anew.
        push.begin();
        prop_assert_eq!(push.request(most), bodies.first().cloned());
        push.concluded(Conclusion::Delivered);
        prop_assert_eq!(push.request(most), bodies.get(1).cloned());
        prop_assert_eq!(&push.all(most), &bodies);
        let mut said = Totals::new();
        for body in &bodies {
            let metrics = decoded(body);
            let points = totals(&metrics);
            prop_assert!(body.len() <= most || points.len() == 1);
            for (series, total) in points {
                prop_assert!(said.insert(series, total).is_none(), "said twice");
            }
        }
        prop_assert_eq!(said, totals_of_the_snapshot(&Snapshot::of(setting.registry)));
    }
}

/// An order in each of as many cities as there may be.
fn many(placed: &Family<Counter>) {
    for city in 0..1_900 {
        let city = format!("{city:->100}");
        placed.with(&[("city", &*city)]).add(1);
    }
}

#[test]
fn one_metric_is_divided_over_several_of_its_name() {
    let setting = Setting::new();
    many(&setting.registry.counter(&PLACED));
    let whole = decoded(&setting.push(Temporality::Delta).whole());
    let [whole] = &*whole else {
        panic!("{} metrics", whole.len());
    };
    let bodies = setting.push(Temporality::Delta).all(10_000);
    assert!(bodies.len() > 20);
    let mut points = Vec::new();
    for body in &bodies {
        assert!(body.len() <= 10_000);
        let mut metrics = decoded(body);
        let mut metric = metrics.remove(0);
        assert!(metrics.is_empty());
        let Some(Data::Sum(sum)) = &mut metric.data else {
            panic!("{metric:?}");
        };
        points.append(&mut sum.data_points);
        let mut without_points = whole.clone();
        match &mut without_points.data {
            Some(Data::Sum(sum)) => sum.data_points.clear(),
            other => panic!("{other:?}"),
        }
        assert_eq!(metric, without_points);
    }
    let Some(Data::Sum(sum)) = &whole.data else {
        panic!("{whole:?}");
    };
    assert_eq!(points, sum.data_points);
    // Nearly full, all but the last.
    let (_, full) = bodies.split_last().unwrap();
    assert!(full.iter().all(|body| body.len() > 9_500));
}

#[test]
fn a_receiver_that_takes_less_is_told_in_less_from_then_on() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let setting = Setting::new();
        let placed = setting.registry.counter(&PLACED);
        many(&placed);
        let mut push = setting.push(temporality);
        let whole = push.whole().len();
        assert!(whole > 4 * LEAST_LIMIT);
        let mut limit = whole;
        for _ in 0..5 {
            assert!(!push.concluded(Conclusion::TooLarge));
            limit /= 2;
            let body = push.request(usize::MAX).unwrap();
            assert!(body.len() <= limit.max(LEAST_LIMIT), "{temporality:?}");
            limit = body.len();
        }
        // Once all is over, the next says it in requests that are no larger.
        while push.request(usize::MAX).is_some() {
            push.concluded(Conclusion::Delivered);
        }
        many(&placed);
        let bodies = push.all(usize::MAX);
        assert!(bodies.len() > 1);
        assert!(bodies.iter().all(|body| body.len() <= LEAST_LIMIT));
        // What was learnt is forgotten in the end.
        setting.hands.advance(FORGOTTEN_AFTER);
        many(&placed);
        assert_eq!(push.all(usize::MAX).len(), 1);
    }
}

#[test]
fn what_is_too_large_by_itself_is_given_up_and_nothing_else() {
    let setting = Setting::new();
    let placed = setting.registry.counter(&PLACED);
    CITIES
        .iter()
        .for_each(|city| placed.with(&[("city", city)]).add(1));
    let mut push = setting.push(Temporality::Delta);
    push.begin();
    let (mut told, mut requests, mut lost) = (0, 0, 0);
    while let Some(body) = push.request(usize::MAX) {
        // One city is what the receiver cannot take.
        let points = intervals(&decoded(&body));
        let is_taken = points.iter().all(|((_, of), ..)| of[0].1 != "Turin");
        told += if is_taken { points.len() } else { 0 };
        let conclusion = match is_taken {
            true => Conclusion::Delivered,
            false => Conclusion::TooLarge,
        };
        lost += usize::from(push.concluded(conclusion));
        requests += 1;
        assert!(requests < 10, "{requests}");
    }
    assert_eq!((told, lost), (CITIES.len() - 1, 1));
}
