-- Old answers are found by their age.
CREATE INDEX requests_by_age ON requests (at);
