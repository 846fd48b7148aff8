//! Checks docker-compose.yml.
