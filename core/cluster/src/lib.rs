//! Who is active: heartbeats, failure detection, epochs, neighbours told. Knows nothing of SIP.
