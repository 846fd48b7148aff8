//! Checks the Grafana dashboards.
