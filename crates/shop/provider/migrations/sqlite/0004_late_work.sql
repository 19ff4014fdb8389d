-- Requests that were taken on and are carried out later: a fault, which must outlive the process as the real thing would.
CREATE TABLE late_work (
    key TEXT NOT NULL PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    operation TEXT NOT NULL,
    due_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
