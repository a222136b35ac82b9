//! `src/tracker` against the specification: a simulation beside a naive model, and its rules one by one.

mod desk;
mod fairness;
mod model;
mod rules;
mod simulation;
mod story;
mod usage;
