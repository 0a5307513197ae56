/work/main/bench/target/debug/deps/listing-05193b8af967df10.d: src/bin/listing.rs

/work/main/bench/target/debug/deps/liblisting-05193b8af967df10.rmeta: src/bin/listing.rs

src/bin/listing.rs:
