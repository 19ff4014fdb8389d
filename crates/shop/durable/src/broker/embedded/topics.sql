-- When what a record tells happened; of older records this is not known, and the time of their appending is taken.
ALTER TABLE broker_records ADD COLUMN timestamp INTEGER;

-- When records of a topic may be deleted: milliseconds and bytes; NULL sets no limit.
CREATE TABLE broker_topics (
    name TEXT PRIMARY KEY,
    retention_age INTEGER,
    retention_bytes INTEGER
) WITHOUT ROWID;
INSERT INTO broker_topics (name) SELECT DISTINCT topic FROM broker_partitions;
