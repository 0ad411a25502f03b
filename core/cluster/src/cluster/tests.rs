//! Two machines run against each other over a small network that can be cut. The tests of whole scenarios are here;
//! each role with each input is in `table`, random disturbances in `chaos`.

mod chaos;
mod drain;
mod pair;
mod scenarios;
mod table;
mod tracked;
