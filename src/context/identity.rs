//! Who a request is for.

use super::with_request_mut;
use crate::{
    records::{self, Fields},
    semconv,
};
use std::fmt;

/// The longest id that is kept, in bytes.
const LONGEST: usize = 128;

/// The user and the session of a request; empty where unknown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    user: String,
    session: String,
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
        request.identity.get_or_insert_default().user = user;
    });
}

/// As [`identify`], where the user is not known.
pub fn identify_session(session_id: impl fmt::Display) {
    let session = cut(&session_id);
    let _ = with_request_mut(|request| request.identity.get_or_insert_default().session = session);
}

impl Identity {
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
    id.truncate(records::cut(&id, LONGEST).len());
    id
}
