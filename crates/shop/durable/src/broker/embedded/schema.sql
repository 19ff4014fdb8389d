-- A topic is its partitions.
CREATE TABLE broker_partitions (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- The offset of the next record; offsets are dense from 0.
    next_offset INTEGER NOT NULL DEFAULT 0,
    -- Size of the stored payloads and headers.
    bytes INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
);

-- `position` is the partition's id times 2^40 plus the offset: records of a partition lie side by side in one tree.
CREATE TABLE broker_records (
    position INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    headers BLOB NOT NULL,
    appended_at INTEGER NOT NULL
);

-- How far a group is in a partition, and which member reads it. The epoch rises with each change of hands.
CREATE TABLE broker_progress (
    consumer_group TEXT NOT NULL,
    partition_id INTEGER NOT NULL REFERENCES broker_partitions (id),
    next_offset INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    epoch INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer_group, partition_id)
) WITHOUT ROWID;
CREATE INDEX broker_progress_by_partition ON broker_progress (partition_id);

CREATE TABLE broker_members (
    consumer_group TEXT NOT NULL,
    topic TEXT NOT NULL,
    member TEXT NOT NULL,
    lease_until INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, topic, member)
) WITHOUT ROWID;
