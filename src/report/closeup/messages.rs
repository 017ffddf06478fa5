//! What was said in messages, as bodies of JSON, so that it is shown, and its secrets hidden, as
//! other bodies are: on a WebSocket, and in calls whose bodies are Protocol Buffers.

use crate::diff::{calls, sockets};
use crate::exchange::Exchange;
use crate::exchange::socket::list::SocketForm;
use crate::message::protobuf::Schema;
use crate::message::{Request, Response};
use crate::outcome::Outcome;

/// What the client, v1 and v2 said; none where nobody spoke in messages. `schema` names the fields
/// of those of calls.
pub(super) fn said(
    exchange: &Exchange,
    outcome: Option<&Outcome>,
    schema: &Schema,
) -> Option<[Response; 3]> {
    let on_socket = sockets::as_answers(exchange, outcome, SocketForm::List);
    on_socket.or_else(|| {
        let nothing = Request::default();
        let asked = exchange.request.as_ref().map_or(&nothing, |request| &request.message);
        let v1 = exchange.response.as_ref().map(|answer| &answer.message);
        let v2 = outcome.and_then(|outcome| outcome.response.as_ref());
        calls::as_answers(schema, asked, [v1, v2])
    })
}
