CREATE TABLE users (
    user_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_admin INTEGER NOT NULL CHECK (is_admin IN (0, 1)),
    is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    payment_method TEXT NOT NULL,
    tenant_id TEXT NOT NULL
) STRICT;
