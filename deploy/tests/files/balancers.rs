//! Checks the load balancers' configurations.
