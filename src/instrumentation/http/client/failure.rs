//! Why a call has no response, told from its error and that error's causes.

use hyper_util::client::legacy;
use std::{
    any::Any,
    error::Error,
    fmt::{self, Write as _},
    io, iter,
    marker::PhantomData,
};
use tokio::time::error::Elapsed;

/// No error has more causes, unless it is among its own.
const MOST_CAUSES: usize = 32;
const OTHER: &str = "_OTHER";

type Cause<'a> = &'a (dyn Error + 'static);
/// What tower's layers make of errors.
type Boxed = Box<dyn Error + Send + Sync>;

/// The types of errors that the application names, the last one named first; leaked with the layer
/// that it named them to, so that each call carries them for nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Known(Option<&'static Node>);

struct Node {
    named: ErrorTypes,
    before: Known,
}

/// The types of the errors that are an `E`.
pub(super) struct ErrorTypes(Box<dyn Named + Send + Sync>);

impl ErrorTypes {
    pub(super) fn new<E, F>(name: F) -> Self
    where
        E: Error + 'static,
        F: Fn(&E) -> Option<&'static str> + Send + Sync + 'static,
    {
        Self(Box::new(Of(name, PhantomData)))
    }
}

trait Named {
    /// What it may be, as an error with causes.
    fn view<'a>(&self, error: &'a dyn Any) -> Option<Cause<'a>>;
    fn name(&self, cause: Cause<'_>) -> Option<&'static str>;
}

struct Of<E, F>(F, PhantomData<fn(E)>);

impl<E, F> Named for Of<E, F>
where
    E: Error + 'static,
    F: Fn(&E) -> Option<&'static str>,
{
    fn view<'a>(&self, error: &'a dyn Any) -> Option<Cause<'a>> {
        error.downcast_ref::<E>().map(|error| error as _)
    }

    fn name(&self, cause: Cause<'_>) -> Option<&'static str> {
        let name = cause.downcast_ref::<E>().and_then(&self.0);
        // An empty one would be no error.
        name.filter(|name| !name.is_empty())
    }
}

impl Known {
    pub(super) fn and(self, named: ErrorTypes) -> Self {
        let before = self;
        Self(Some(Box::leak(Box::new(Node { named, before }))))
    }

    fn all(self) -> impl Iterator<Item = &'static dyn Named> {
        let nodes = iter::successors(self.0, |node| node.before.0);
        nodes.map(|node| &*node.named.0 as _)
    }

    /// The `error.type` of a call that ended with `error`.
    #[cold]
    pub(super) fn error_type(self, error: &dyn Any) -> &'static str {
        let mut found = OTHER;
        let mut cause = self.view(error);
        for _ in 0..MOST_CAUSES {
            let Some(error) = cause else {
                break;
            };
            if let Some(name) = self.all().find_map(|named| named.name(error)) {
                return name;
            }
            match told_by(error, found) {
                Told::Surely(name) => return name,
                Told::Unless(name) => found = name,
                Told::Nothing => {}
            }
            // An error of io is seen through: its own cause is that of the error within.
            let within = error.downcast_ref::<io::Error>();
            let within = within.and_then(io::Error::get_ref);
            cause = within.map(|within| within as _).or_else(|| error.source());
        }
        found
    }

    fn view(self, error: &dyn Any) -> Option<Cause<'_>> {
        fn of<E: Error + 'static>(error: &dyn Any) -> Option<Cause<'_>> {
            error.downcast_ref::<E>().map(|error| error as _)
        }
        let boxed = error.downcast_ref::<Boxed>();
        boxed
            .map(|error| &**error as _)
            .or_else(|| of::<legacy::Error>(error))
            .or_else(|| of::<hyper::Error>(error))
            .or_else(|| of::<io::Error>(error))
            .or_else(|| of::<Elapsed>(error))
            .or_else(|| self.all().find_map(|named| named.view(error)))
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

/// What one error of a chain says.
enum Told {
    Surely(&'static str),
    /// A cause of it may know better.
    Unless(&'static str),
    Nothing,
}

/// `found`: what the errors above it say.
fn told_by(error: Cause<'_>, found: &str) -> Told {
    use io::ErrorKind as Kind;
    const CONNECT: &str = "connect";
    const CLOSED: &str = "connection_closed";
    if error.is::<rustls::Error>() {
        return Told::Surely("tls");
    }
    if error.is::<Elapsed>() {
        return Told::Surely("timeout");
    }
    if let Some(error) = error.downcast_ref::<legacy::Error>() {
        return match error.is_connect() {
            true => Told::Unless(CONNECT),
            false => Told::Nothing,
        };
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_timeout() {
            return Told::Surely("timeout");
        }
        // Of its kind, the one with a cause is the request's body.
        if error.is_body_write_aborted() || (error.is_user() && error.source().is_some()) {
            return Told::Unless("body");
        }
        let is_closed = error.is_closed() || error.is_canceled() || error.is_incomplete_message();
        return match is_closed {
            true => Told::Unless(CLOSED),
            false => Told::Nothing,
        };
    }
    if found == CONNECT && says_dns(error) {
        return Told::Surely("dns");
    }
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    match kind {
        Some(Kind::TimedOut) => Told::Surely("timeout"),
        // What the connection's end was the cause of is told.
        _ if found != OTHER => Told::Nothing,
        Some(
            Kind::ConnectionRefused
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::AddrNotAvailable,
        ) => Told::Unless(CONNECT),
        Some(
            Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::UnexpectedEof
            | Kind::NotConnected,
        ) => Told::Unless(CLOSED),
        _ => Told::Nothing,
    }
}

/// hyper-util's resolver tells of a name that it did not find in a type that nobody else can name.
fn says_dns(error: Cause<'_>) -> bool {
    /// Text, as far as it begins like another.
    struct Rest(&'static str);

    impl fmt::Write for Rest {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if text.len() >= self.0.len() {
                let begins = text.starts_with(self.0);
                self.0 = if begins { "" } else { self.0 };
                return Err(fmt::Error);
            }
            self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest("dns error");
    // An error: enough was read.
    let _ = write!(rest, "{error}");
    rest.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_of<E: 'static>(error: E) -> &'static str {
        Known::default().error_type(&error)
    }

    #[derive(Debug)]
    struct Wrapped(Boxed);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("something failed")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<Cause<'_>> {
            Some(&*self.0)
        }
    }

    #[derive(Debug)]
    struct Circular;

    impl fmt::Display for Circular {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }

    impl Error for Circular {
        fn source(&self) -> Option<Cause<'_>> {
            Some(self)
        }
    }

    #[test]
    fn causes_are_looked_for_within_boxes_and_errors_of_io() {
        let tls = || rustls::Error::HandshakeNotComplete;
        assert_eq!(type_of(io::Error::other(tls())), "tls");
        assert_eq!(type_of(Boxed::from(io::Error::other(tls()))), "tls");
        let wrapped = || Wrapped(io::Error::from(io::ErrorKind::TimedOut).into());
        assert_eq!(type_of(Boxed::from(wrapped())), "timeout");
        // By itself nobody can look into it.
        assert_eq!(type_of(wrapped()), OTHER);
        for (kind, expected) in [
            (io::ErrorKind::ConnectionRefused, "connect"),
            (io::ErrorKind::ConnectionReset, "connection_closed"),
            (io::ErrorKind::InvalidData, OTHER),
        ] {
            assert_eq!(type_of(io::Error::from(kind)), expected);
        }
        assert_eq!(type_of("no error at all"), OTHER);
        assert_eq!(type_of(Boxed::from(Circular)), OTHER);
    }

    #[test]
    fn what_the_application_names_comes_first_and_is_looked_into() {
        let known = Known::default()
            .and(ErrorTypes::new(|_: &Wrapped| None))
            .and(ErrorTypes::new(|_: &Circular| Some("circular")))
            .and(ErrorTypes::new(|_: &Elapsed| Some("")));
        let wrapped = |error: Boxed| known.error_type(&Wrapped(error));
        assert_eq!(wrapped(Box::new(Circular)), "circular");
        let timeout = io::Error::from(io::ErrorKind::TimedOut);
        assert_eq!(wrapped(timeout.into()), "timeout");
        assert_eq!(known.error_type(&Circular), "circular");
    }

    #[test]
    fn a_name_that_was_not_found_is_told_by_its_text_within_connecting_alone() {
        for (text, is_dns) in [
            ("dns error", true),
            ("dns error: no such host", true),
            ("dns", false),
            ("a dns error", false),
            ("", false),
        ] {
            let error = Boxed::from(text);
            assert_eq!(says_dns(&*error), is_dns, "{text}");
            let told = told_by(&*error, OTHER);
            assert!(!matches!(told, Told::Surely("dns")));
        }
    }
}
