# The entry point for people. Every recipe is a command or two, written out so that it can be used without `just`.

# what there is
default:
    @just --list --unsorted

# the proxy, a Telegram in miniature and clients: shows that everything works
demo:
    cargo run --release -- demo

# every test, real clients included
test:
    cargo xtask test

# what CI runs
ci:
    .ci/run

# format, lints, rustdoc
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# write the generated references anew
generate:
    cargo xtask generate

# every fuzz target for some seconds
fuzz seconds="10":
    fuzz/run {{ seconds }}

# real clients against target/release (or target/debug)
e2e *arguments:
    e2e/run {{ arguments }}

# what relaying costs, beside reference relays: writes docs/understand/benchmarks.md
bench-relay *arguments:
    cargo build --release -p teleferry -p teleferry-bench
    target/release/teleferry-bench relay {{ arguments }}

# clients of every kind come and go for a time (--middle: others stay while links end); fails when anything is wrong in the end
soak *arguments:
    cargo build --release -p teleferry -p teleferry-bench
    target/release/teleferry-bench soak {{ arguments }}

# what the protocol code costs in instructions; fails when it is more than what is kept
bench-codec *arguments="--check crates/bench/instructions.json":
    cargo build --release -p teleferry-bench
    target/release/teleferry-bench codec {{ arguments }}

# what a prober sees of the proxy, beside what it sees of a real nginx; fails when it can tell them apart
probe *arguments="suite":
    cargo build --release -p teleferry -p teleferry-probe
    target/release/teleferry-probe {{ arguments }}

# the same with nginx's default timers, and the probes that wait ten minutes: half an hour and more
probe-long *arguments:
    cargo build --release -p teleferry -p teleferry-probe
    target/release/teleferry-probe suite --long {{ arguments }}
