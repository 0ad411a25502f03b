//! Asterisk's files, registrar, dialplan, calls and their records.
