//! The tables, in Markdown.

use crate::{
    operations::Operation,
    requests::Variant,
    rounds::{Measured, median},
};
use std::fmt::Write as _;

pub(crate) fn requests(rows: &[(&Variant, Measured)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let bare =
        |figure: fn(&Measured) -> f64| median(rows.iter().map(|(_, measured)| figure(measured)));
    let mut table = format!(
        "\nA request; the bare router takes {:.0} ns and {:.0} allocations (median of all rows).\n\n\
         | over the bare router | covers | records | wall, ns | × ours | CPU of its thread, ns | CPU of all threads, ns | × ours | \
         allocations: its thread / others | delivered a request: M / S / L |\n\
         | --- | --- | --- | --: | --: | --: | --: | --: | --: | --: |\n",
        bare(|measured| measured.bare.wall_nanos),
        bare(|measured| measured.bare.allocations),
    );
    for (variant, measured) in rows {
        let ours = rows.iter().find(|(other, _)| other.key == variant.against);
        let Measured {
            over,
            requests,
            spans,
            logs,
            ..
        } = measured;
        line(
            &mut table,
            &[
                variant.name.to_owned(),
                variant.covers.to_owned(),
                variant.records.to_string(),
                nanos(over.wall_nanos),
                ratio(over.wall_nanos, ours.map(|(_, ours)| ours.over.wall_nanos)),
                nanos(over.thread_nanos),
                nanos(over.cpu_nanos),
                ratio(over.cpu_nanos, ours.map(|(_, ours)| ours.over.cpu_nanos)),
                allocations(measured),
                format!("{requests:.2} / {spans:.2} / {logs:.2}"),
            ],
        );
    }
    table
}

pub(crate) fn operations(rows: &[(&Operation, Measured)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = "\nAn operation.\n\n\
         | what | by | wall, ns | × ours | CPU of its thread, ns | CPU of all threads, ns | × ours | \
         allocations: its thread / others | delivered |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for (operation, measured) in rows {
        let ours = rows
            .iter()
            .find(|(other, _)| other.key == operation.against);
        line(
            &mut table,
            &[
                operation.what.to_owned(),
                operation.by.to_owned(),
                nanos(measured.over.wall_nanos),
                ratio(
                    measured.over.wall_nanos,
                    ours.map(|(_, ours)| ours.over.wall_nanos),
                ),
                nanos(measured.over.thread_nanos),
                nanos(measured.over.cpu_nanos),
                ratio(
                    measured.over.cpu_nanos,
                    ours.map(|(_, ours)| ours.over.cpu_nanos),
                ),
                allocations(measured),
                match measured.logs {
                    0.0 => "–".to_owned(),
                    logs => format!("{logs:.2}"),
                },
            ],
        );
    }
    table
}

fn line(table: &mut String, cells: &[String]) {
    writeln!(table, "| {} |", cells.join(" | ")).unwrap_or_default();
}

fn allocations(measured: &Measured) -> String {
    let over = measured.over;
    format!(
        "{:.1} / {:.1}",
        over.allocations, over.allocations_elsewhere
    )
}

fn nanos(nanos: f64) -> String {
    with_commas(nanos.round() as i64)
}

fn with_commas(whole: i64) -> String {
    match whole {
        1_000.. => format!("{},{:03}", with_commas(whole / 1_000), whole % 1_000),
        _ => whole.to_string(),
    }
}

fn ratio(figure: f64, ours: Option<f64>) -> String {
    ours.map_or_else(|| "–".to_owned(), |ours| format!("{:.1}", figure / ours))
}
