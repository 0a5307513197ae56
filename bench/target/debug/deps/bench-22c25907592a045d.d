/work/main/bench/target/debug/deps/bench-22c25907592a045d.d: src/lib.rs src/client.rs src/server.rs

/work/main/bench/target/debug/deps/libbench-22c25907592a045d.rmeta: src/lib.rs src/client.rs src/server.rs

src/lib.rs:
src/client.rs:
src/server.rs:
