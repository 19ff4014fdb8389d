-- A refund that was rejected can be made anew, under another number and so another key at the provider. `created_at` and
-- `reviews` are those of the newest number.
ALTER TABLE refunds ADD COLUMN number INTEGER NOT NULL DEFAULT 1 CHECK (number > 0);
