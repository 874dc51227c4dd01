//! The record-once guard of an outgoing call.

use super::{
    super::request::{Traits, is_stream},
    UrlTemplate,
    failure::Known,
    peers::{Alike, Client, Peer, Series},
};
use crate::{
    context::{self, Happened, TraceContext},
    ids::{SpanContext, SpanId, TraceId},
    records::{Fields, Record, Signal, Span, SpanKind},
    redaction, semconv,
};
use ::http::{Method, Request, Response, StatusCode};
use compact_str::{CompactString, format_compact};
use std::{any::Any, time::Instant};

/// The `error.type` of a call that was given up.
const CANCELLED: &str = "cancelled";
/// That of one whose response's body broke off.
const BODY: &str = "body";
const TIMEOUT: &str = "timeout";

/// One outgoing call. It starts as one that is given up, is told how it ends, and records when it is
/// dropped.
#[derive(Debug)]
pub(super) struct Call {
    client: &'static Client,
    types: Known,
    /// `None`: one of too many.
    peer: Option<&'static Peer>,
    /// Its address and port, where its span is recorded.
    beyond: Option<Box<(Box<str>, u16)>>,
    span: SpanContext,
    parent: Option<SpanId>,
    started: Instant,
    method: &'static str,
    template: &'static str,
    /// Of a call whose span is recorded, masked.
    url: Option<String>,
    /// `None` until there is a head.
    status: Option<StatusCode>,
    /// Empty: none, or the status.
    error: &'static str,
}

impl Call {
    /// The call, and the trace that goes along with it.
    #[inline]
    pub(super) fn begin<B>(
        client: &'static Client,
        types: Known,
        request: &Request<B>,
    ) -> (Self, TraceContext) {
        let pipeline = client.pipeline;
        let caller = context::current_trace();
        let parent = caller.as_ref().map(|caller| caller.span_id);
        let mut trace = caller.unwrap_or_else(|| {
            let trace_id = TraceId::random();
            TraceContext {
                trace_id,
                span_id: SpanId::random(),
                sampled: pipeline.settings.sampling.begins(trace_id),
                state: None,
            }
        });
        trace.span_id = SpanId::random();
        let span = trace.span();
        let is_recorded = span.is_sampled && pipeline.handoff.wants(Signal::Traces);
        let template = request.extensions().get::<UrlTemplate>();
        let peer = client.peer(request);
        let is_beyond = is_recorded && peer.is_none();
        let url = is_recorded.then(|| redaction::url(request.uri()));
        let call = Self {
            client,
            types,
            peer,
            beyond: is_beyond.then(|| Box::new(Client::beyond(request))),
            span,
            parent,
            started: pipeline.clock.now(),
            method: Traits::method_of(request.method()),
            template: template.map_or("", |template| template.0),
            url,
            status: None,
            error: CANCELLED,
        };
        (call, trace)
    }

    /// The head of the response is there. `None`: the call ends with it.
    #[inline]
    pub(super) fn head<B>(mut self, response: &Response<B>, is_over: bool) -> Option<Self> {
        self.status = Some(response.status());
        // Nobody has to read the body.
        self.error = "";
        let is_tunnel = self.method == Method::CONNECT.as_str() && response.status().is_success();
        let is_upgraded = is_tunnel || response.status() == StatusCode::SWITCHING_PROTOCOLS;
        // It lasts for as long as both want to.
        let is_endless = is_upgraded || is_stream(response.headers());
        (!is_over && !is_endless).then_some(self)
    }

    /// There is an error in place of a head.
    #[cold]
    pub(super) fn fail(&mut self, error: &dyn Any) {
        self.error = self.types.error_type(error);
    }

    /// From here on the response's body is given up if it is dropped.
    #[inline]
    pub(super) fn reads(&mut self) {
        self.error = CANCELLED;
    }

    /// The response's body ends as it should.
    #[inline]
    pub(super) fn ends(&mut self) {
        self.error = "";
    }

    /// The response's body ends before its end.
    #[cold]
    pub(super) fn breaks_off(&mut self, error: &dyn Any) {
        self.error = match self.types.error_type(error) {
            TIMEOUT => TIMEOUT,
            _ => BODY,
        };
    }

    fn describe(&self, alike: &Alike, series: Option<&Series>, url: &str, fields: &mut Fields) {
        let composed = series.and_then(|series| series.fields.as_ref());
        match (composed, self.peer) {
            (Some(composed), _) if fields.append(composed) => {}
            (_, Some(peer)) => alike.describe(&peer.address, peer.port, fields),
            (_, None) => {
                let (address, port) = self.beyond.as_deref().cloned().unwrap_or_default();
                alike.describe(&address, port, fields);
            }
        }
        fields.word(semconv::URL_FULL, url);
    }

    fn name(&self) -> CompactString {
        let method = semconv::method_in_names(self.method);
        match self.template {
            "" => CompactString::const_new(method),
            template => format_compact!("{method} {template}"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (client, pipeline) = (self.client, self.client.pipeline);
        let now = pipeline.clock.now();
        let duration = now.saturating_duration_since(self.started);
        let alike = Alike {
            method: self.method,
            status: self.status,
            error: self.error,
            template: self.template,
        };
        let series = self.peer.and_then(|peer| client.series(peer, &alike));
        client
            .duration(series)
            .record_duration(duration, pipeline.settings.exemplars.choose(self.span));
        if pipeline.handoff.wants(Signal::Logs) && context::is_of(self.span.trace_id) {
            let host = self.peer.map_or("_OTHER", |peer| &peer.address);
            let said = [self.method, host, alike.status_word(), self.error];
            context::note(now, Happened::Call(duration), &said);
        }
        let Some(url) = &self.url else {
            return;
        };
        let record = Span {
            context: self.span,
            parent: self.parent,
            kind: SpanKind::Client,
            name: self.name(),
            started: self.started,
            duration,
            is_error: alike.is_error(),
        };
        pipeline.record(Record::Span(record), |fields| {
            self.describe(&alike, series, url, fields);
        });
    }
}
