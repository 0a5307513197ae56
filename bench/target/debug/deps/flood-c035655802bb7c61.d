/work/main/bench/target/debug/deps/flood-c035655802bb7c61.d: src/bin/flood.rs

/work/main/bench/target/debug/deps/libflood-c035655802bb7c61.rmeta: src/bin/flood.rs

src/bin/flood.rs:
