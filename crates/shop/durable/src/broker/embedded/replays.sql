-- Records of dead-letter topics that an operator had published again, by their position in broker_records.
CREATE TABLE broker_replays (
    position INTEGER PRIMARY KEY,
    asked_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
);
