-- When a member of the group was seen last, in milliseconds since 1970.
ALTER TABLE broker_progress ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
UPDATE broker_progress SET seen_at = CAST(unixepoch('subsec') * 1000 AS INTEGER);
