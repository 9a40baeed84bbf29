//! Cipher suites and their names.
