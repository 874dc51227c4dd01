//! What the layer makes of the requests of real clients, over HTTP/1.1 and over HTTP/2.

mod bodies;
mod connection;
mod disconnects;
mod grpc;
mod hostile;
mod invariant;
mod numbers;
mod panics;
mod propagation;
mod routing;
mod served;
mod streams;
mod timeouts;
mod upgrades;
mod workload;
