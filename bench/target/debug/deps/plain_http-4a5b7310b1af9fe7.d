/work/main/bench/target/debug/deps/plain_http-4a5b7310b1af9fe7.d: /work/main/crates/plain_http/src/lib.rs

/work/main/bench/target/debug/deps/libplain_http-4a5b7310b1af9fe7.rmeta: /work/main/crates/plain_http/src/lib.rs

/work/main/crates/plain_http/src/lib.rs:
