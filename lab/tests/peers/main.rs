//! Phones that nobody here wrote, against the product on hosts of the lab: SIPp and baresip, through kill, cut and
//! restart; two machines made a pair; and the mistakes that a newcomer makes. Needs root and, on Debian, the packages
//! sip-tester, baresip-core, keepalived and etcd-server.
//!
//! The product is `target/release/tandem`, or what the environment's `TANDEM_BINARY` names.

mod addresses;
mod audio;
mod baresip;
mod baresip_calls;
mod capture;
mod configuration;
mod etcd;
mod mutual;
mod newcomer;
mod pair;
mod pairing;
mod restart;
mod sipp;
mod sipp_calls;
mod tap;
mod telling;
mod vrrp;
mod witness;

/// Silence at shared machines may be so many times what is promised.
const SLACK: f64 = 3.0;
