//! What a group is and what can be done with it: plain functions on values, and the few calls to a store.
#![forbid(unsafe_code)]
