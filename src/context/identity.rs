//! Who a request is for.

use super::with_request_mut;
use crate::{
    pipeline::{LONGEST_ID, Named, Who},
    records::{self, Fields},
    semconv,
};
use std::fmt;

/// The user and the session of a request; empty where unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    user: String,
    session: String,
    /// Whether the session was ended: what is left of the request is of none.
    has_left: bool,
}

/// Says whom the current request is for. From here on its errors, events and log lines carry
/// `user.id` and `session.id`. Call it from the authenticating middleware, inside the layer; outside
/// a request it does nothing. Ids are cut at 128 bytes; an empty one stands for unknown. A user's
/// leaves as it is, or hashed by
/// [`hash_user_ids`](crate::telemetry::Builder::hash_user_ids).
///
/// ```
/// use axum::{extract::Request, middleware::Next, response::Response};
/// use orderscope::context;
///
/// async fn authenticate(request: Request, next: Next) -> Response {
///     context::identify("u-1024", "s-77");
///     next.run(request).await
/// }
/// ```
pub fn identify(user_id: impl fmt::Display, session_id: impl fmt::Display) {
    identify_user(user_id);
    identify_session(session_id);
}

/// As [`identify`], where there is no session.
pub fn identify_user(user_id: impl fmt::Display) {
    let user = cut(&user_id);
    let _ = with_request_mut(|request| {
        let user = request.pipeline.settings.user_ids.tell(user);
        let identity = request.identity.get_or_insert_default();
        identity.user = user;
        identity.has_left = false;
    });
}

/// As [`identify`], where the user is not known.
pub fn identify_session(session_id: impl fmt::Display) {
    let session = cut(&session_id);
    let _ = with_request_mut(|request| {
        let identity = request.identity.get_or_insert_default();
        identity.session = session;
        identity.has_left = false;
    });
}

/// Ends the session of the current request, as at logout, where sessions are
/// [followed](crate::telemetry::Builder::sessions); the request's own end counts to no session any more.
/// An event that is tracked after it begins another session: track `logged_out` before. Outside a
/// request it does nothing.
///
/// ```
/// async fn log_out() -> &'static str {
///     orderscope::track_event!("logged_out");
///     orderscope::context::end_session();
///     "see you"
/// }
/// ```
pub fn end_session() {
    let _ = with_request_mut(|request| {
        let Some(identity) = &mut request.identity else {
            return;
        };
        let (pipeline, id) = (request.pipeline, request.trace.deed());
        let now = pipeline.clock.now();
        pipeline.sessions.tell(now, id, Named::End, identity.who());
        identity.has_left = true;
    });
}

impl Identity {
    pub(crate) fn of_session(session: &str) -> Self {
        Self {
            session: cut(&session),
            ..Self::default()
        }
    }

    /// Whose session the request is of.
    pub(crate) fn who(&self) -> Who<'_> {
        if self.has_left {
            return Who::default();
        }
        Who {
            session: self.session(),
            user: self.user(),
        }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        Some(self.user.as_str()).filter(|user| !user.is_empty())
    }

    pub(crate) fn session(&self) -> Option<&str> {
        Some(self.session.as_str()).filter(|session| !session.is_empty())
    }

    pub(super) fn describe(&self, fields: &mut Fields) {
        if let Some(user) = self.user() {
            fields.word(semconv::USER_ID, user);
        }
        if let Some(session) = self.session() {
            fields.word(semconv::SESSION_ID, session);
        }
    }
}

fn cut(id: &impl fmt::Display) -> String {
    let mut id = id.to_string();
    id.truncate(records::cut(&id, LONGEST_ID).len());
    id
}
