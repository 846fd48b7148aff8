//! Checks the Dockerfile.
