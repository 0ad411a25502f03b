//! SIP messages, transactions and dialogs as plain data; knows no transport.
