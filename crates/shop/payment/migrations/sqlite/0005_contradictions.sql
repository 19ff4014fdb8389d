-- Since when the provider says of a payment what our books exclude; null when its last answer fits them.
ALTER TABLE payments ADD COLUMN contradicted_at INTEGER;
CREATE INDEX contradicted_payments ON payments (contradicted_at) WHERE contradicted_at IS NOT NULL;
