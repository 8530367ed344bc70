//! How long the codecs take: `cargo bench -p teleferry-proto --bench codecs`.

mod common;

use std::hint::black_box;

use common::{Client, header, hello, keys, parse_and_answer, scan_and_prove, share, stream};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use teleferry_proto::obfuscated::find_secret;
use teleferry_proto::transport::Framing;

const SIZES: [usize; 2] = [256, 16 << 10];

fn ctr(c: &mut Criterion) {
    let mut group = c.benchmark_group("ctr");
    for len in SIZES {
        let (mut stream, mut data) = stream(len);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::from_parameter(len), |b| {
            b.iter(|| stream.apply(black_box(&mut data)))
        });
    }
}

fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    let kinds = [
        ("abridged", Framing::Abridged, false),
        ("intermediate", Framing::Intermediate, false),
        ("padded", Framing::Padded, false),
        ("tls", Framing::Padded, true),
    ];
    for (name, framing, tls) in kinds {
        for len in SIZES {
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter_batched(|| Client::new(framing, tls, len), Client::receive, BatchSize::SmallInput);
            });
        }
    }
}

fn door(c: &mut Criterion) {
    let (hello, header) = (hello(), header());
    let mut group = c.benchmark_group("door");
    for count in [1, 100] {
        let keys = keys(count);
        group.bench_function(BenchmarkId::new("hello", count), |b| {
            b.iter(|| scan_and_prove(black_box(&hello), &keys));
        });
        group.bench_function(BenchmarkId::new("header", count), |b| {
            b.iter(|| find_secret(black_box(&header), &keys));
        });
    }
    let (share, encrypted) = (share(), vec![7; 2800]);
    group.bench_function("answer", |b| b.iter(|| parse_and_answer(black_box(&hello), &share, &encrypted)));
}

criterion_group!(benches, ctr, session, door);
criterion_main!(benches);
