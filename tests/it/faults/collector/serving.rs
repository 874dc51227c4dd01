//! One request, as the behaviour of the moment has it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response, Version};
use orderscope::export::Signal;
use tokio::time::sleep;

use super::answers::{self, Answer, Way};
use super::behaviour::{Behaviour, Flood};
use super::decoded::{Carried, decoded, unzipped};
use super::listening::signal;
use super::state::{Answered, State, Visit};
use super::wire::Control;

pub(super) async fn serve(
    state: Arc<State>,
    control: Arc<Control>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let way = match request.version() {
        Version::HTTP_2 => Way::Grpc,
        _ => Way::Http,
    };
    let Some(signal) = signal(request.uri().path()) else {
        return Ok(answers::refused(way, 404, &[], Bytes::new()));
    };
    let behaviour = state.asked(signal);
    let visit = Visit::begin(&state, signal);
    let most = match behaviour {
        Behaviour::ResetBefore => 0,
        Behaviour::ResetAmid(most) => most,
        _ => usize::MAX,
    };
    let Some(body) = read(request, way, &visit, most).await else {
        visit.answered(Answered::Reset { kept: false });
        control.reset();
        return std::future::pending().await;
    };
    let carried = decoded(signal, &body);
    visit.carries(&carried);
    let exchange = Exchange {
        state: &state,
        control: &control,
        way,
        signal,
        carried,
    };
    exchange.answer(behaviour, visit).await
}

/// The message within the body; `None`: the sender is gone, or so many bytes have come.
async fn read(request: Request<Incoming>, way: Way, visit: &Visit, most: usize) -> Option<Vec<u8>> {
    let (head, mut body) = request.into_parts();
    let mut read = Vec::new();
    while read.len() < most {
        let Some(frame) = body.frame().await else {
            break;
        };
        if let Ok(data) = frame.ok()?.into_data() {
            visit.read(data.len());
            read.extend_from_slice(&data);
        }
    }
    if read.len() >= most {
        return None;
    }
    let is_zipped = match way {
        Way::Http => head.headers.contains_key("content-encoding"),
        Way::Grpc => {
            let mut prefix = Bytes::from(read.drain(..5).collect::<Vec<_>>());
            let is_zipped = prefix.get_u8() == 1;
            assert_eq!(prefix.get_u32() as usize, read.len(), "one message");
            is_zipped
        }
    };
    Some(if is_zipped { unzipped(&read) } else { read })
}

struct Exchange<'a> {
    state: &'a State,
    control: &'a Control,
    way: Way,
    signal: Signal,
    carried: Carried,
}

impl Exchange<'_> {
    async fn answer(
        self,
        behaviour: Behaviour,
        visit: Visit,
    ) -> Result<Response<Answer>, Infallible> {
        let way = self.way;
        Ok(match behaviour {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::ResetAfter => {
                let kept = self.state.flips();
                if kept {
                    self.take(0);
                }
                visit.answered(Answered::Reset { kept });
                self.control.reset();
                std::future::pending().await
            }
            Behaviour::Trickle { head_at_once } => {
                self.take(0);
                visit.answered(Answered::Badly);
                if !head_at_once {
                    self.control.slow_down();
                    // What the connection itself has to say before goes as slowly.
                    sleep(Duration::from_millis(1)).await;
                }
                answers::slowly(way, visit)
            }
            Behaviour::Flood(flood) => {
                self.take(0);
                visit.answered(Answered::Badly);
                match flood {
                    Flood::Endless => answers::endless(way, visit),
                    Flood::Huge => answers::huge(way, visit),
                    Flood::Bomb => answers::bomb(way),
                }
            }
            Behaviour::CutAt(bytes) => {
                self.take(0);
                visit.answered(Answered::Badly);
                self.control.cut_after(bytes);
                answers::taken(way, self.signal, 0)
            }
            Behaviour::Status {
                code,
                headers,
                body,
            } => {
                visit.answered(Answered::Refused(code));
                answers::refused(way, code, &headers, body)
            }
            Behaviour::Grpc {
                code,
                message,
                retry_after,
            } => {
                visit.answered(Answered::Refused(code as u16));
                answers::status(way, code, message, retry_after)
            }
            Behaviour::Partial(rejected) => {
                let rejected = rejected.min(self.carried.records);
                self.take(rejected as usize);
                visit.answered(Answered::Partly { rejected });
                answers::taken(way, self.signal, rejected)
            }
            Behaviour::RefuseRecords { bad, as_too_large }
                if self.carried.ids.iter().any(|id| bad.is(*id)) =>
            {
                let code = if as_too_large { 413 } else { 400 };
                visit.answered(Answered::Refused(code));
                answers::refused(way, code, &[], Bytes::new())
            }
            Behaviour::MostRecords(most) if self.carried.records > most as u64 => {
                visit.answered(Answered::Refused(413));
                answers::refused(way, 413, &[], Bytes::new())
            }
            _ => {
                self.take(0);
                visit.answered(Answered::Taken);
                answers::taken(way, self.signal, 0)
            }
        })
    }

    /// Keeps all but the first `rejected`.
    fn take(&self, rejected: usize) {
        let ids = &self.carried.ids;
        self.state.take(&ids[rejected.min(ids.len())..]);
    }
}
