//! Two machines run against each other over a small network that can be cut. The tests of whole scenarios are here;
//! each role with each input is in `table`, random disturbances in `chaos`, what keeps a second master away in
//! `witness`, `fencing` and `pings`.

mod chaos;
mod drain;
mod fencing;
mod pair;
mod pings;
mod scenarios;
mod table;
mod tracked;
mod witness;
