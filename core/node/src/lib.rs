//! The whole node as one pure machine: handle(now, event) -> actions.
