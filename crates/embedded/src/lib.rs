//! The store for one machine: SQLite for documents and view rows, QuickJS for the map functions.
#![forbid(unsafe_code)]
