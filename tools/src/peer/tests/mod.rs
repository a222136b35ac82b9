//! The engine as a whole, in memory: no socket, no file, a clock that only moves when it is told to.
//!
//! `lab` is one engine among peers that follow a script; `simulation` lets engines talk to each other through pipes that
//! split bytes at random; the other rooms each take some rows of the specification.

mod blame;
mod disk;
mod flood;
mod greeting;
mod hashes;
mod lab;
mod manners;
mod node;
mod padding;
mod simulation;
