-- What was told to whom. A row is the sending: I18, one an order, kind and channel.
CREATE TABLE notifications (
    order_id TEXT NOT NULL,
    kind     TEXT NOT NULL,
    channel  TEXT NOT NULL CHECK (channel IN ('email', 'sms')),
    user_id  TEXT NOT NULL,
    subject  TEXT NOT NULL,
    -- The event that it tells of.
    event_id TEXT NOT NULL,
    -- Milliseconds since 1970.
    sent_at  INTEGER NOT NULL,
    PRIMARY KEY (order_id, kind, channel)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER notifications_are_not_changed BEFORE UPDATE ON notifications
BEGIN
    SELECT raise(ABORT, 'notifications are append-only');
END;
