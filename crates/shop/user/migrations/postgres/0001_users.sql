CREATE TABLE users (
    user_id text PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    is_admin boolean NOT NULL,
    is_active boolean NOT NULL,
    payment_method text NOT NULL,
    tenant_id text NOT NULL
);
