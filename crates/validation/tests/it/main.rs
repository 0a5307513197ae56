//! Validation from outside: Kazoo's words, and the same verdicts as another validator.

mod differential;
mod guards;
mod words;
