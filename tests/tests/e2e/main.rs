//! Real servers and clients with the balancer between them, in network namespaces.
//!
//! Every test builds a network of its own, so tests run side by side. They need root.

mod backup;
mod bulk;
mod checks;
mod choice;
mod choosing;
mod command_line;
mod failure;
mod guard;
mod leftovers;
mod lifecycle;
mod maglev;
mod many;
mod neighbours;
mod postgres;
mod redis;
mod seeing;
mod sources;
mod stack;
mod stage;
