//! Clocks that differ between the two sides of a call.

use waypost_trace_model::{Kind, Node};

/// Nanoseconds to add to the times of a call's server side to bring it into the middle of its client side, when it
/// begins before or ends after it and could fit into it; else `None`.
///
/// The middle, as in Jaeger's adjuster: what the client waited longer than the server worked is divided evenly between
/// the way there and the way back. A server side that took longer than the call says nothing about clocks: its client
/// may have given up. Nor does a consumer, which may handle a message at any later time.
pub(crate) fn offset(client: &Node, server: &Node) -> Option<i128> {
    let is_call =
        client.kind == Kind::Client && server.kind == Kind::Server && client.service != server.service;
    let slack = client.duration().checked_sub(server.duration()).filter(|_| is_call)?;
    let (client_end, server_end) = (client.start + client.duration(), server.start + server.duration());
    let sticks_out = server.start < client.start || server_end > client_end;
    sticks_out.then(|| i128::from(client.start) + i128::from(slack / 2) - i128::from(server.start))
}

/// The same where the times as recorded are of no use: the server side lies outside of its client side altogether.
pub(crate) fn needed_offset(client: &Node, server: &Node) -> Option<i128> {
    let (client_end, server_end) = (client.start + client.duration(), server.start + server.duration());
    offset(client, server).filter(|_| server_end <= client.start || server.start >= client_end)
}
