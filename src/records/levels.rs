//! Which events and spans are read, by where they come from and how grave they are.

use super::REQUEST_TARGET;
use crate::{error::Error, fork::Process};
use std::str::FromStr;
use tracing::{
    Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::Targets,
    layer::{Context, Filter},
    registry::LookupSpan,
};

/// What is read of that which `tracing` emits: directives as in `RUST_LOG`, such as
/// `info,orders=debug`. Default: `info`.
///
/// As the filter of one layer it leaves alone what other layers read; added to a registry itself, as
/// a layer, it decides for all of them, which saves some 60 ns a span.
///
/// ```
/// use orderscope::tracing_layer::Levels;
///
/// let levels: Levels = "warn,orders=debug".parse()?;
/// assert!("orders=loud".parse::<Levels>().is_err());
/// # drop(levels);
/// # Ok::<(), orderscope::Error>(())
/// ```
#[derive(Debug)]
pub struct Levels {
    directives: String,
    filter: Directives,
    process: Process,
}

#[derive(Debug)]
enum Directives {
    /// Decided by the place in the source alone.
    Fixed(Targets),
    /// Some name a span or its values: each span is looked at.
    BySpan(Box<EnvFilter>),
}

impl Levels {
    /// The error says what is wrong with which directive.
    pub(crate) fn read(directives: &str) -> Result<Self, String> {
        let parts = directives.split(',').map(str::trim);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        let directives = parts.join(",");
        let filter = if parts.is_empty() {
            Directives::Fixed(Targets::new().with_default(LevelFilter::INFO))
        } else if directives.contains('[') {
            let filter = EnvFilter::builder().parse(&directives);
            Directives::BySpan(Box::new(filter.map_err(|error| error.to_string())?))
        } else {
            for part in &parts {
                part.parse::<Targets>()
                    .map_err(|error| format!("{part:?}: {error}"))?;
            }
            let targets = directives.parse::<Targets>();
            Directives::Fixed(targets.map_err(|error| error.to_string())?)
        };
        Ok(Self {
            directives,
            filter,
            process: Process::current(),
        })
    }

    /// What to tell the operator of a directive that is accepted and hides nearly everything: a
    /// level that is misspelt is the name of a module.
    pub(crate) fn warning(&self) -> Option<String> {
        let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
        let words = self.directives.split(',');
        let mut words = words.filter(|word| !word.contains(['=', ':', '[']) && !is_level(word));
        let (word, meant) = words.find_map(|word| Some((word, misspelt(word)?)))?;
        Some(format!(
            "the log level {word:?} is no level, and is taken for a module of that name: nothing \
             else is read on its account. If {meant:?} was meant, spell it so; if the module was, \
             write \"{word}=trace\""
        ))
    }

    /// `None`: what is fixed, or a forked child, where a lock of the filter may be held for ever.
    fn by_span(&self) -> Option<&EnvFilter> {
        match &self.filter {
            Directives::BySpan(filter) if !self.process.is_forked() => Some(filter),
            _ => None,
        }
    }

    /// A request is recorded by the HTTP layer, not by its span.
    fn is_refused(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == REQUEST_TARGET
    }
}

/// The level that a word is nearly the name of.
fn misspelt(word: &str) -> Option<&'static str> {
    const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];
    const ALIASES: [(&str, &str); 5] = [
        ("warning", "warn"),
        ("verbose", "debug"),
        ("critical", "error"),
        ("fatal", "error"),
        ("none", "off"),
    ];
    let word = word.to_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word);
    alias.map(|(_, level)| *level).or_else(|| {
        // Of `off` and `info` every short word is a neighbour.
        let within = |level: &str| if level.len() > 4 { 2 } else { 1 };
        let mut levels = LEVELS.into_iter();
        levels.find(|level| distance(&word, level) <= within(level))
    })
}

/// How many characters to insert, delete or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            directives: String::new(),
            filter: Directives::Fixed(Targets::new().with_default(LevelFilter::INFO)),
            process: Process::current(),
        }
    }
}

/// # Errors
/// A directive names a level that there is not; the message says which.
impl FromStr for Levels {
    type Err = Error;

    fn from_str(directives: &str) -> Result<Self, Error> {
        Self::read(directives).map_err(|reason| {
            let accepted = format!(
                "a list such as `info,orders=debug` of off, error, warn, info, debug, trace \
                 ({reason})"
            );
            Error::configuration("the levels", directives, accepted)
        })
    }
}

impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        !Self::is_refused(metadata)
            && match &self.filter {
                Directives::Fixed(targets) => Filter::enabled(targets, metadata, context),
                Directives::BySpan(_) => self
                    .by_span()
                    .is_some_and(|filter| Filter::enabled(filter, metadata, context)),
            }
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match &self.filter {
            _ if Self::is_refused(metadata) => Interest::never(),
            Directives::Fixed(targets) => Filter::<S>::callsite_enabled(targets, metadata),
            Directives::BySpan(_) => self.by_span().map_or_else(Interest::never, |filter| {
                Filter::<S>::callsite_enabled(filter, metadata)
            }),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        match &self.filter {
            Directives::Fixed(targets) => Filter::<S>::max_level_hint(targets),
            Directives::BySpan(filter) => Filter::<S>::max_level_hint(&**filter),
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.by_span() {
            Filter::on_new_span(filter, attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(filter) = self.by_span() {
            Filter::on_record(filter, id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.by_span() {
            Filter::on_enter(filter, id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(filter) = self.by_span() {
            Filter::on_exit(filter, id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(filter) = self.by_span() {
            Filter::on_close(filter, id, context);
        }
    }
}

/// Decides for every layer of its subscriber.
impl<S> Layer<S> for Levels
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(self, metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Filter::enabled(self, metadata, &context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(self)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Filter::on_new_span(self, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Filter::on_record(self, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Filter::on_enter(self, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Filter::on_exit(self, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Filter::on_close(self, id, context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether INFO of the module is read, at the plain directives.
    fn reads(directives: &str, target: &str) -> bool {
        match Levels::read(directives).unwrap().filter {
            Directives::Fixed(targets) => targets.would_enable(target, &tracing::Level::INFO),
            Directives::BySpan(_) => panic!("{directives} names no span"),
        }
    }

    #[test]
    fn directives_are_read_as_rust_log_has_them() {
        assert!(reads("", "orders"));
        assert!(reads(" warn , orders=info ", "orders::checkout"));
        assert!(!reads("warn,orders=info", "menus"));
        assert!(reads("orders", "orders"));
        assert!(!reads("off", "orders"));
        assert!(Levels::read("orders[{user}]=debug").is_ok());
        assert!(Levels::read("orders=debg").unwrap_err().contains("debg"));
    }

    #[test]
    fn a_misspelt_level_is_warned_of_and_a_module_is_not() {
        for misspelt in ["debg", "INF0", "info,warning", "tracing=info,erorr"] {
            assert!(
                Levels::read(misspelt).unwrap().warning().is_some(),
                "{misspelt}"
            );
        }
        for right in [
            "",
            "info",
            "DEBUG",
            "2",
            "orders",
            "debg=trace",
            "hyper::client",
        ] {
            assert_eq!(Levels::read(right).unwrap().warning(), None, "{right}");
        }
    }
}
