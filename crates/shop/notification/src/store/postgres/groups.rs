//! Events that are handled together: each marked in the inbox once, with what it has users told.

use super::{At, Error, Notification, Recorded};
use std::collections::HashSet;
use waypost_api::EventId;
use waypost_durable::postgres::{Unit, group::Grouped, params};

/// Which consumer handles which event, and what is told because of it.
pub(super) type Recording = (String, EventId, Vec<Notification>);

/// An event that was handled before tells nothing.
pub(super) async fn record(
    unit: &mut Unit,
    events: &[Recording],
) -> Result<Vec<Grouped<Vec<Recorded>, Error>>, waypost_durable::Error> {
    let all = || {
        events.iter().flat_map(|(consumer, event, notifications)| {
            notifications.iter().map(move |notification| (consumer, event, notification))
        })
    };
    let sent: HashSet<(String, String, String, String, String)> = unit
        .query_all(
            "WITH event AS ( \
               INSERT INTO inbox (consumer, event_id, received_at) \
               SELECT consumer, event_id, waypost_now() \
               FROM unnest($1::text[], $2::text[]) AS event (consumer, event_id) ORDER BY consumer, event_id \
               ON CONFLICT DO NOTHING RETURNING consumer, event_id), \
             told AS ( \
               SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
                 $10::text[], $11::timestamptz[]) \
               AS told (consumer, handled, order_id, kind, channel, user_id, subject, event_id, sent_at)), \
             sent AS ( \
               INSERT INTO notifications (order_id, kind, channel, user_id, subject, event_id, sent_at) \
               SELECT order_id, kind, channel, user_id, subject, told.event_id, sent_at \
               FROM told JOIN event ON event.consumer = told.consumer AND event.event_id = told.handled \
               ORDER BY order_id, kind, channel \
               ON CONFLICT DO NOTHING RETURNING order_id, kind, channel, event_id) \
             SELECT told.consumer, told.handled, order_id, kind, channel FROM sent \
             JOIN told USING (order_id, kind, channel, event_id)",
            params![
                events.iter().map(|(consumer, ..)| consumer.as_str()).collect::<Vec<_>>(),
                events.iter().map(|(_, event, _)| event.as_str()).collect::<Vec<_>>(),
                all().map(|(consumer, ..)| consumer.as_str()).collect::<Vec<_>>(),
                all().map(|(_, event, _)| event.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| told.order.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| told.kind.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| told.channel.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| told.user.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| told.subject.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| told.event.as_str()).collect::<Vec<_>>(),
                all().map(|(.., told)| At(told.sent_at.into())).collect::<Vec<_>>(),
            ],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)),
        )
        .await?
        .into_iter()
        .collect();
    let is_sent = |consumer: &str, event: &EventId, told: &Notification| {
        let key = (
            consumer.to_owned(),
            event.to_string(),
            told.order.to_string(),
            told.kind.as_str().to_owned(),
            told.channel.as_str().to_owned(),
        );
        sent.contains(&key)
    };
    let outcome = |(consumer, event, notifications): &Recording| {
        let told = notifications.iter().filter(|told| is_sent(consumer, event, told));
        let recorded = told.map(|told| Recorded { channel: told.channel, subject: told.subject.clone() });
        Grouped::Done(recorded.collect())
    };
    Ok(events.iter().map(outcome).collect())
}
