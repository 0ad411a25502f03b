//! An independent SIP phone as a pure machine, for the simulator and the lab. Shares no code with the product.
