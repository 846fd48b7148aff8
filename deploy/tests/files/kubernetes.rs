//! Checks the Kubernetes manifests.
