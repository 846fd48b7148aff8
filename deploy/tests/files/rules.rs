//! Checks Prometheus rules, alerts and their runbooks.
