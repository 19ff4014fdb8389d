-- Old notifications are found by their age.
CREATE INDEX notifications_by_age ON notifications (sent_at);
