//! Two machines run against each other over a small network that can be cut. The tests of whole scenarios are here;
//! each role with each input is in `table`, one machine by hand in `alone`.

mod pair;
mod scenarios;
mod table;
