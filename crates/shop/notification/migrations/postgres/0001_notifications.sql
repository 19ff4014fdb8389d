-- What was told to whom. A row is the sending: I18, one an order, kind and channel.
CREATE TABLE notifications (
    order_id text COLLATE "C" NOT NULL,
    kind     text COLLATE "C" NOT NULL,
    channel  text COLLATE "C" NOT NULL CHECK (channel IN ('email', 'sms')),
    user_id  text NOT NULL,
    subject  text NOT NULL,
    -- The event that it tells of.
    event_id text NOT NULL,
    sent_at  timestamptz NOT NULL,
    PRIMARY KEY (order_id, kind, channel)
);

-- Old notifications are found by their age.
CREATE INDEX notifications_by_age ON notifications (sent_at);

CREATE FUNCTION guard_notification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'notifications are append-only';
END $$;
CREATE TRIGGER notifications_are_not_changed BEFORE UPDATE ON notifications
    FOR EACH ROW EXECUTE FUNCTION guard_notification();
