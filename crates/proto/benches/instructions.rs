//! How many instructions the codecs take, which does not depend on the machine's load:
//! `cargo bench -p teleferry-proto --bench instructions`.

#![allow(
    unused_qualifications,
    missing_docs,
    clippy::exit,
    reason = "in what the macros of gungraun expand to"
)]

mod common;

use std::hint::black_box;

use common::{Client, header, hello, keys, parse_and_answer, scan_and_prove, share, stream};
use gungraun::{library_benchmark, library_benchmark_group, main};
use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::client_hello::Proof;
use teleferry_proto::fake_tls::server_hello::KeyShare;
use teleferry_proto::obfuscated::find_secret;
use teleferry_proto::secret::SecretKey;
use teleferry_proto::session::Received;
use teleferry_proto::transport::Framing;

#[library_benchmark]
#[bench::small(args = (256), setup = stream)]
#[bench::large(args = (16_384), setup = stream)]
fn ctr((mut stream, mut data): (CtrStream, Vec<u8>)) -> Vec<u8> {
    stream.apply(black_box(&mut data));
    data
}

#[library_benchmark]
#[bench::abridged_small(args = (Framing::Abridged, false, 256), setup = Client::new)]
#[bench::abridged_large(args = (Framing::Abridged, false, 16_384), setup = Client::new)]
#[bench::padded_small(args = (Framing::Padded, false, 256), setup = Client::new)]
#[bench::padded_large(args = (Framing::Padded, false, 16_384), setup = Client::new)]
#[bench::tls_small(args = (Framing::Padded, true, 256), setup = Client::new)]
#[bench::tls_large(args = (Framing::Padded, true, 16_384), setup = Client::new)]
fn session(client: Client) -> (Received, Client) {
    black_box(client).receive()
}

fn hello_and_keys(count: u8) -> (Vec<u8>, Vec<SecretKey>) {
    (hello(), keys(count))
}

#[library_benchmark]
#[bench::one(args = (1), setup = hello_and_keys)]
#[bench::hundred(args = (100), setup = hello_and_keys)]
fn prove_hello((hello, keys): (Vec<u8>, Vec<SecretKey>)) -> Proof {
    scan_and_prove(black_box(&hello), &keys)
}

fn header_and_keys(count: u8) -> ([u8; 64], Vec<SecretKey>) {
    (header(), keys(count))
}

#[library_benchmark]
#[bench::one(args = (1), setup = header_and_keys)]
#[bench::hundred(args = (100), setup = header_and_keys)]
fn prove_header((header, keys): ([u8; 64], Vec<SecretKey>)) -> Option<usize> {
    find_secret(black_box(&header), &keys)
}

fn hello_and_share(encrypted_len: usize) -> (Vec<u8>, KeyShare, Vec<u8>) {
    (hello(), share(), vec![7; encrypted_len])
}

#[library_benchmark]
#[bench::usual(args = (2800), setup = hello_and_share)]
fn answer_hello((hello, share, encrypted): (Vec<u8>, KeyShare, Vec<u8>)) -> Vec<u8> {
    parse_and_answer(black_box(&hello), &share, &encrypted)
}

library_benchmark_group!(name = codecs; benchmarks = ctr, session);
library_benchmark_group!(name = door; benchmarks = prove_hello, prove_header, answer_hello);
main!(library_benchmark_groups = codecs, door);
