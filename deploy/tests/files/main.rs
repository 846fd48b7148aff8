//! Holds the files that deploy Switchboard against the code and against each other. No server and no
//! external program is needed; what those say of the files is `make check-deploy`.

mod balancers;
mod compose;
mod dashboards;
mod documents;
mod image;
mod kubernetes;
mod links;
mod rules;
