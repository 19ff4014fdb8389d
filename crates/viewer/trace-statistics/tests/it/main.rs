//! Figures, the map and names, asked for as the viewer asks.

#![expect(clippy::unwrap_used, reason = "what tests call is a test too")]

mod bounds;
mod checkpoint;
mod edges;
mod figures;
mod made;
mod names;
mod series;
mod windows;
