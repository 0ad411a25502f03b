//! Hosts in network namespaces, phones, faults and the drill.
