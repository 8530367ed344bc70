#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| teleferry_proto::fuzz::call(data));
