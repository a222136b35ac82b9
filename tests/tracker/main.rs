//! `src/tracker` against the specification: a simulation beside a naive model, and its rules one by one.

mod model;
mod simulation;
