-- Roles may share a file, so no two of them have a table or trigger of the same name.
ALTER TABLE retention RENAME TO payment_retention;

DROP TRIGGER an_epoch_that_was_seen_stays_seen;
CREATE TRIGGER an_epoch_that_a_payment_has_seen_stays_seen
BEFORE UPDATE OF lease_epoch ON payments WHEN new.lease_epoch < old.lease_epoch
BEGIN
    SELECT raise(ABORT, 'an epoch that was seen stays seen');
END;
