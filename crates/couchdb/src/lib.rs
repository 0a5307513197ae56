//! A CouchDB 3.x client on reqwest, worth using alone; implements datastore's traits.
#![forbid(unsafe_code)]
