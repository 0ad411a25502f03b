//! The Debian package, as `make deb` makes it: installed into a clean system, its unit's command run as the unit says
//! on two hosts of the lab, phones that register and talk, and a purge that leaves nothing. Needs root and, on Debian,
//! the packages mmdebstrap, systemd and dpkg-dev.
//!
//! The program is `target/release/tandem`, or what the environment's `TANDEM_BINARY` names. The clean system is made
//! once and kept as `target/package/*.tar`.

mod installed;
mod pair;
mod root;
mod service;
mod unit;
