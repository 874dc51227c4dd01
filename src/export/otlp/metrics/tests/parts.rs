//! A push in several requests, each of which ends for itself.

use super::*;
use crate::metrics::{Counter, Family};
use proptest::prelude::*;
use std::iter;

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
    /// The bound, and what becomes of the requests before the push is interrupted.
    Push(usize, Vec<Conclusion>),
}

fn conclusions() -> impl Strategy<Value = Vec<Conclusion>> {
    let conclusion = prop::sample::select(vec![
        Conclusion::Delivered,
        Conclusion::NotDelivered,
        Conclusion::TooLarge,
        Conclusion::Refused,
        Conclusion::Ambiguous,
    ]);
    prop::collection::vec(conclusion, 0..8)
}

fn step() -> impl Strategy<Value = Step> {
    // A request of nothing takes some 300 bytes; no point more than 150.
    let most = prop_oneof![Just(usize::MAX), Just(0), 300..3_000_usize];
    prop_oneof![
        (0..CITIES.len(), 1..1_000_u64).prop_map(|(city, by)| Step::Count(city, by)),
        (0..CITIES.len(), 0..3_000_u64).prop_map(|(city, millis)| Step::Wait(city, millis)),
        (1..100_u32).prop_map(Step::Observe),
        (most, conclusions()).prop_map(|(most, all)| Step::Push(most, all)),
    ]
}

/// What a backend, and who keeps the accounts, have been told.
#[derive(Default)]
struct Told {
    totals: Totals,
    until: BTreeMap<Name, u64>,
    /// The body that is to come again as it is, unless it is cut.
    again: Option<Vec<u8>>,
}

impl Told {
    fn push(
        &mut self,
        push: &mut MetricsPush,
        most: usize,
        conclusions: impl IntoIterator<Item = Conclusion>,
    ) -> Result<usize, TestCaseError> {
        let mut requests = 0;
        push.begin();
        for conclusion in conclusions {
            let Some(body) = push.request(most) else {
                prop_assert_eq!(self.again.take(), None);
                break;
            };
            requests += 1;
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
            let is_too_large = conclusion == Conclusion::TooLarge;
            let is_lost = push.concluded(conclusion);
            prop_assert_eq!(is_lost, is_too_large && points.len() == 1);
            match conclusion {
                Conclusion::NotDelivered => self.again = Some(body),
                Conclusion::TooLarge if !is_lost => {}
                _ => self.count(&metrics, points)?,
            }
        }
        Ok(requests)
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
                    told.push(&mut push, most, conclusions)?;
                }
            }
        }
        // What was frozen, and what came since.
        let all = || iter::repeat(Conclusion::Delivered);
        told.push(&mut push, usize::MAX, all())?;
        told.push(&mut push, usize::MAX, all())?;
        prop_assert_eq!(told.push(&mut push, usize::MAX, all())?, 0, "nothing is left to say");
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
    fn cumulative_parts_together_say_what_the_snapshot_says_however_they_end(
        most in 300..3_000_usize,
        conclusions in conclusions(),
    ) {
        let setting = Setting::new();
        record_some_of_everything(setting.registry);
        let paid = setting.registry.counter(&PAID);
        CITIES.iter().for_each(|city| paid.with(&[("city", city)]).add(1));
        let snapshot = totals_of_the_snapshot(&Snapshot::of(setting.registry));
        let mut push = setting.push(Temporality::Cumulative);
        push.begin();
        // Not in what was read, however long it takes to say.
        paid.with(&[("city", "Bari")]).add(1);
        let mut said = Totals::new();
        for conclusion in conclusions.into_iter().chain(iter::repeat(Conclusion::Delivered)) {
            let Some(body) = push.request(most) else {
                break;
            };
            let points = totals(&decoded(&body));
            prop_assert!(body.len() <= most || points.len() == 1);
            let is_lost = push.concluded(conclusion);
            let is_over = match conclusion {
                Conclusion::NotDelivered => false,
                Conclusion::TooLarge => is_lost,
                _ => true,
            };
            if is_over {
                for (series, total) in points {
                    prop_assert!(said.insert(series, total).is_none(), "said twice");
                }
            }
        }
        prop_assert_eq!(said, snapshot);
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
    let whole = setting.pushed(Temporality::Delta);
    let [whole] = &*whole else {
        panic!("{} metrics", whole.len());
    };
    let bodies = delivered(&mut setting.push(Temporality::Delta), 10_000);
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
fn a_receiver_that_takes_less_is_told_in_less_until_that_is_long_ago() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let setting = Setting::new();
        let placed = setting.registry.counter(&PLACED);
        many(&placed);
        let mut push = setting.push(temporality);
        push.begin();
        let mut limit = push.request(usize::MAX).unwrap().len();
        assert!(limit > 4 * LEAST_LIMIT);
        while limit > LEAST_LIMIT {
            assert!(!push.concluded(Conclusion::TooLarge));
            let length = push.request(usize::MAX).unwrap().len();
            limit = (limit / 2).max(LEAST_LIMIT);
            assert!(length <= limit, "{temporality:?}: {length} of {limit}");
            limit = length.max(LEAST_LIMIT);
        }
        let longest = |bodies: &[Vec<u8>]| bodies.iter().map(Vec::len).max().unwrap();
        // What is left of it, and what is read next.
        while push.request(usize::MAX).is_some() {
            push.concluded(Conclusion::Delivered);
        }
        setting.hands.advance(LIMIT_HOLDS / 2);
        many(&placed);
        assert!(longest(&delivered(&mut push, usize::MAX)) <= LEAST_LIMIT);
        // Then it is asked again.
        setting.hands.advance(LIMIT_HOLDS / 2);
        many(&placed);
        assert_eq!(delivered(&mut push, usize::MAX).len(), 1);
    }
}

#[test]
fn an_interrupted_push_goes_on_where_it_stopped_and_a_new_one_reads_anew() {
    let setting = Setting::new();
    let placed = setting.registry.counter(&PLACED);
    let mut push = setting.push(Temporality::Cumulative);
    let parts = |bodies: &[Vec<u8>]| -> Vec<Totals> {
        let metrics = bodies.iter().map(|body| decoded(body));
        metrics.map(|metrics| totals(&metrics)).collect()
    };
    for orders in [1.0, 2.0] {
        many(&placed);
        let whole = delivered(&mut setting.push(Temporality::Cumulative), 50_000);
        assert!(whole.len() > 3);
        let whole = parts(&whole);
        assert!(whole[0].values().all(|(_, sum)| *sum == orders));
        let mut taken = 0;
        let bodies = said(&mut push, 50_000, |_| {
            taken += 1;
            match taken {
                3 => Conclusion::NotDelivered,
                _ => Conclusion::Delivered,
            }
        });
        assert!(parts(&bodies) == whole[..3], "not from the beginning");
        if orders < 2.0 {
            continue;
        }
        // Not in what was read.
        many(&placed);
        let mut rest = Vec::new();
        while let Some(body) = push.request(50_000) {
            assert!(!push.concluded(Conclusion::Delivered));
            rest.push(body);
        }
        assert!(rest[0] == bodies[2], "another than the one interrupted");
        assert!(parts(&rest) == whole[2..]);
        assert!(!push.concluded(Conclusion::TooLarge), "nothing was in hand");
    }
}

#[test]
fn a_point_that_is_too_large_by_itself_is_told_as_lost_and_the_rest_arrives() {
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let setting = Setting::new();
        let placed = setting.registry.counter(&PLACED);
        let paid = setting.registry.counter(&PAID);
        for city in CITIES {
            placed.with(&[("city", city)]).add(1);
            paid.with(&[("city", city)]).add(1);
        }
        let mut push = setting.push(temporality);
        let (mut told, mut lost, mut requests) = (0, 0, 0);
        push.begin();
        while let Some(body) = push.request(usize::MAX) {
            let points = totals(&decoded(&body));
            // One city's placed orders are what the receiver cannot take.
            let is_taken = |(name, of): &Name| name != "orders.placed" || of[0].1 != "Turin";
            requests += 1;
            if points.keys().all(is_taken) {
                told += points.len();
                assert!(!push.concluded(Conclusion::Delivered));
            } else if push.concluded(Conclusion::TooLarge) {
                lost += points.len();
            }
        }
        assert_eq!((told, lost), (2 * CITIES.len() - 1, 1), "{temporality:?}");
        assert!(requests < 10, "{requests}");
    }
}

#[test]
fn a_receiver_of_single_points_gets_them_all() {
    let setting = Setting::new();
    many(&setting.registry.counter(&PLACED));
    let mut push = setting.push(Temporality::Delta);
    let mut told = 0;
    said(&mut push, usize::MAX, |body| {
        match intervals(&decoded(body)).len() {
            1 => {
                told += 1;
                Conclusion::Delivered
            }
            _ => Conclusion::TooLarge,
        }
    });
    assert_eq!(told, 1_900);
}
