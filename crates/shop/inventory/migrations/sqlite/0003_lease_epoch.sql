-- The highest epoch of a runner of the order's saga that had an effect here, on the order's newest reservation. Requests of a
-- lower one are refused. 0: the runners of before said none.
ALTER TABLE reservations ADD COLUMN lease_epoch INTEGER NOT NULL DEFAULT 0 CHECK (lease_epoch >= 0);

CREATE TRIGGER an_epoch_that_was_seen_stays_seen
BEFORE UPDATE OF lease_epoch ON reservations WHEN new.lease_epoch < old.lease_epoch
BEGIN
    SELECT raise(ABORT, 'an epoch that was seen stays seen');
END;
