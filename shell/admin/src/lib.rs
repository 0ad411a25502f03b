//! Configuration file, command line and the operator's socket.
