//! The request that a line belongs to, for those who print with `tracing_subscriber::fmt`.

use super::escape;
use crate::context;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// An event format of [`with_request`].
#[derive(Clone, Debug)]
pub struct WithRequest<F> {
    inner: F,
}

/// Prints the trace, the method and the route of the current request before each event that
/// `format` prints: `trace=4bf92f3577b34da6a3ce929d0e0e4736 method=GET route=/orders/{id}`. Outside a
/// request, and every span, it prints the event alone.
///
/// What the layer sets of its format, such as `with_ansi`, is set before `event_format`, or on
/// `format` itself.
///
/// It stands for the request's span, which would cost more than ten times as much. Not for formats
/// of JSON: [`Format::Json`](super::Format::Json) says the same as fields.
///
/// ```
/// use orderscope::logs;
/// use tracing_subscriber::fmt;
///
/// let layer = fmt::layer::<tracing_subscriber::Registry>()
///     .event_format(logs::with_request(fmt::format().compact()));
/// # drop(layer);
/// ```
pub fn with_request<F>(format: F) -> WithRequest<F> {
    WithRequest { inner: format }
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        print(&mut writer)?;
        self.inner.format_event(context, writer, event)
    }
}

fn print(writer: &mut Writer<'_>) -> fmt::Result {
    if let Some(span) = context::active() {
        let mut digits = [0; 32];
        let digits = escape::hex_of(&span.trace_id.to_bytes(), &mut digits);
        writer.write_str("trace=")?;
        writer.write_str(digits)?;
        writer.write_char(' ')?;
    }
    // Copied out: nothing is borrowed while the writer runs.
    if let Some((method, route)) = context::with_request(|request| (request.method, request.route))
    {
        writer.write_str("method=")?;
        writer.write_str(method)?;
        writer.write_char(' ')?;
        if let Some(route) = route {
            writer.write_str("route=")?;
            writer.write_str(route)?;
            writer.write_char(' ')?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{context::Request, pipeline::Pipeline};
    use std::{
        io,
        sync::{Arc, Mutex},
    };
    use tracing_subscriber::fmt::format;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_request_stands_before_the_event_and_nothing_does_outside() {
        let request = Request::for_tests(Pipeline::for_tests(&[]), true);
        let trace = request.trace.trace_id();
        let (memory, mut request) = (Memory::default(), Some(request));
        let writer = memory.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(with_request(format().without_time().with_target(false)))
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("outside");
            let _entered = context::enter(&mut request);
            tracing::info!("within");
        });
        let printed = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        let expected =
            format!(" INFO outside\ntrace={trace} method=GET route=/orders/{{id}}  INFO within\n");
        assert_eq!(printed, expected);
    }
}
