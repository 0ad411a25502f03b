//! Journal, epoch and call records on disk.
