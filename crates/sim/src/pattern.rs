//! Content that is cheap to make, cheap to check and different at every place: a counter put through a mixer.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fills `out` with the bytes that the endless pattern of `seed` has from `offset` on.
pub fn fill(seed: u64, offset: u64, out: &mut [u8]) {
    let skipped = (offset % 8) as usize;
    let mut word = offset / 8;
    let (head, rest) = out.split_at_mut(((8 - skipped) % 8).min(out.len()));
    if !head.is_empty() {
        let len = head.len();
        head.copy_from_slice(&mixed(seed, word)[skipped..skipped + len]);
        word += 1;
    }
    for chunk in rest.chunks_mut(8) {
        let len = chunk.len();
        chunk.copy_from_slice(&mixed(seed, word)[..len]);
        word += 1;
    }
}

fn mixed(seed: u64, word: u64) -> [u8; 8] {
    let mut z = seed ^ word.wrapping_add(1).wrapping_mul(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_equals_the_whole() {
        let mut whole = [0; 100];
        fill(7, 0, &mut whole);
        for from in 0..100 {
            for to in from..100 {
                let mut window = vec![0; to - from];
                fill(7, from as u64, &mut window);
                assert_eq!(window, whole[from..to], "{from}..{to}");
            }
        }
    }
}
