//! What a destination of RabbitMQ is called, by the conventions: `{exchange}:{routing key}` for who publishes,
//! `{exchange}:{routing key}:{queue}` for who reads, without what is empty or said twice.

use std::sync::Arc;

use super::super::destinations::{Named, matches};

/// Names that the broker makes up begin with these; what a span shows of them.
const MADE_UP: [(&str, &str); 2] =
    [("amq.gen-", "amq.gen-*"), ("amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.*")];

/// What routing keys are made from.
#[derive(Clone, Debug)]
pub(super) struct Templates(Arc<[Box<str>]>);

/// A place in the broker: what is empty is not known or does not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) queue: &'a str,
}

impl Templates {
    pub(super) fn new(templates: &[Box<str>]) -> Self {
        Self(templates.into())
    }

    /// What a place is called.
    pub(super) fn named(&self, place: Place<'_>) -> Named {
        let shown = Place {
            exchange: place.exchange,
            routing_key: self.shown(place.routing_key),
            queue: made_up(place.queue).unwrap_or(place.queue),
        };
        let (name, pattern) = (joined(place), joined(shown));
        let is_temporary = [place.routing_key, place.queue].into_iter().any(|part| made_up(part).is_some());
        let pattern = (name != pattern).then_some(pattern);
        Named { name: name.into(), pattern: pattern.map(Into::into), is_temporary }
    }

    fn shown<'a>(&'a self, routing_key: &'a str) -> &'a str {
        let template = || self.0.iter().find(|template| matches(Some(template), Some(routing_key)));
        made_up(routing_key).or_else(|| template().map(|template| &**template)).unwrap_or(routing_key)
    }
}

/// What stands for a name that the broker made up.
pub(super) fn made_up(name: &str) -> Option<&'static str> {
    MADE_UP.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, shown)| *shown)
}

fn joined(Place { exchange, routing_key, queue }: Place<'_>) -> String {
    let queue = if queue == routing_key { "" } else { queue };
    let parts: Vec<&str> =
        [exchange, routing_key, queue].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "amq.default".to_owned() } else { parts.join(":") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_called_as_the_conventions_have_it() {
        let named = |exchange, routing_key, queue| {
            let templates = Templates::new(&["orders.{order}".into()]);
            let Named { name, pattern, is_temporary } =
                templates.named(Place { exchange, routing_key, queue });
            (String::from(name), pattern.map(String::from), is_temporary)
        };
        let of = |name: &str| (name.to_owned(), None, false);
        assert_eq!(named("shop", "placed", ""), of("shop:placed"));
        assert_eq!(named("shop", "", ""), of("shop"));
        assert_eq!(named("", "mails", "mails"), of("mails"));
        assert_eq!(named("", "", ""), of("amq.default"));
        assert_eq!(named("shop", "placed", "mails"), of("shop:placed:mails"));
        let templated =
            ("shop:orders.17:mails".to_owned(), Some("shop:orders.{order}:mails".to_owned()), false);
        assert_eq!(named("shop", "orders.17", "mails"), templated);
        let (_, pattern, is_temporary) = named("", "amq.gen-Xa2", "amq.gen-Xa2");
        assert_eq!((pattern.as_deref(), is_temporary), (Some("amq.gen-*"), true));
    }
}
