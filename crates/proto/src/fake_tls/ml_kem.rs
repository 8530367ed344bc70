//! The half of an ML-KEM-768 key exchange that a server sends, as far as anybody can see it.
//!
//! Nobody uses the shared secret: Telegram's apps offer keys whose private half they do not have. To everybody else a
//! ciphertext is the compressed form of 1,024 numbers that nobody can tell from uniform ones modulo 3,329 (the assumption that ML-KEM itself
//! stands on). So we draw such numbers: that costs far less than an encapsulation and looks the same. Random *bytes* do not: of the
//! 1,024 values that a compressed number of 10 bits takes, 257 stand for four numbers and the others for three, which two
//! ciphertexts give away.

use super::server_hello::{MLKEM_CIPHERTEXT_LEN, MLKEM_KEY_LEN};

/// The modulus, `q` of FIPS 203.
const Q: u32 = 3329;
/// Coefficients of the vector `u`, in ten bits each.
const COEFFICIENTS_OF_U: usize = 768;
/// Coefficients of the polynomial `v`, in four bits each.
const COEFFICIENTS_OF_V: usize = 256;
/// Bytes of an encapsulation key in which its coefficients stand, in twelve bits each; behind them is a seed.
const COEFFICIENTS_LEN: usize = 1152;
/// Random bytes for one coefficient.
const DRAW: usize = 4;

/// Random bytes that a ciphertext is made of: 4,096.
pub const RANDOMNESS: usize = DRAW * (COEFFICIENTS_OF_U + COEFFICIENTS_OF_V);

/// Whether bytes are an encapsulation key: each coefficient is below the modulus (FIPS 203, section 7.2). A server encapsulates
/// for no others.
#[must_use]
pub fn is_key(key: &[u8; MLKEM_KEY_LEN]) -> bool {
    let (triples, _) = key.as_chunks::<3>();
    triples.iter().take(COEFFICIENTS_LEN / 3).all(|&[low, middle, high]| {
        let both = u32::from_le_bytes([low, middle, high, 0]);
        both & 0xfff < Q && both >> 12 < Q
    })
}

/// A ciphertext (FIPS 203, algorithm 14, from line 22 on) of numbers that are drawn with these random bytes.
#[must_use]
pub fn ciphertext(random: &[u8; RANDOMNESS]) -> Box<[u8; MLKEM_CIPHERTEXT_LEN]> {
    let mut ciphertext = Box::new([0; MLKEM_CIPHERTEXT_LEN]);
    let (draws, _) = random.as_chunks::<DRAW>();
    let (of_u, of_v) = draws.split_at(COEFFICIENTS_OF_U);
    let (fives, twos) = ciphertext.split_at_mut(COEFFICIENTS_OF_U / 4 * 5);
    for (five, draws) in fives.as_chunks_mut::<5>().0.iter_mut().zip(of_u.as_chunks::<4>().0) {
        let [a, b, c, d] = draws.map(|draw| u64::from(compressed::<10>(number(draw))));
        let [bytes @ .., _, _, _] = (a | b << 10 | c << 20 | d << 30).to_le_bytes();
        *five = bytes;
    }
    for (byte, draws) in twos.iter_mut().zip(of_v.as_chunks::<2>().0) {
        let [a, b] = draws.map(|draw| compressed::<4>(number(draw)));
        *byte = (a | b << 4) as u8;
    }
    ciphertext
}

/// A number below the modulus; of 2³² draws no two numbers differ by more than one.
const fn number(draw: [u8; DRAW]) -> u32 {
    ((u32::from_le_bytes(draw) as u64).saturating_mul(Q as u64) >> 32) as u32
}

/// FIPS 203, `Compress`: a number below the modulus in so many bits.
const fn compressed<const BITS: u32>(number: u32) -> u32 {
    let scaled = number.saturating_mul(1 << BITS).saturating_add(Q / 2) / Q;
    // 2^BITS is 0 again.
    scaled & !(u32::MAX << BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random bytes of which each number below the modulus is drawn.
    fn draw_of(number: u32) -> [u8; DRAW] {
        let draw = (u64::from(number) << 32).div_ceil(u64::from(Q)) as u32;
        draw.to_le_bytes()
    }

    #[test]
    fn every_number_is_drawn_as_often_as_others() {
        for wanted in 0..Q {
            let first = u32::from_le_bytes(draw_of(wanted));
            assert_eq!(number(first.to_le_bytes()), wanted);
            assert_ne!(first.checked_sub(1).map(|before| number(before.to_le_bytes())), Some(wanted));
        }
        let first = |number| u64::from(u32::from_le_bytes(draw_of(number)));
        let share = (1 << 32) / u64::from(Q);
        assert!((0..Q - 1).all(|number| (share..=share + 1).contains(&(first(number + 1) - first(number)))));
    }

    /// What two ciphertexts of random bytes would give away.
    #[test]
    fn values_stand_for_as_many_numbers_as_in_a_genuine_ciphertext() {
        let mut of_ten_bits = vec![0; 1024];
        let mut of_four_bits = [0; 16];
        for number in 0..Q {
            of_ten_bits[compressed::<10>(number) as usize] += 1;
            of_four_bits[compressed::<4>(number) as usize] += 1;
        }
        let with = |count: i32| of_ten_bits.iter().filter(|&&numbers| numbers == count).count();
        assert_eq!((with(3), with(4)), (767, 257));
        assert_eq!(of_four_bits.iter().filter(|&&numbers| numbers == 208).count(), 15);
        // 0 has the number that is left over.
        assert_eq!(of_four_bits[0], 209);
    }

    /// By the formulas of FIPS 203, bit for bit: slow, and another way to the same.
    #[test]
    fn values_stand_where_the_standard_has_them() {
        let mut random = [0; RANDOMNESS];
        let numbers: Vec<u32> = (0..1024).map(|place| (place * 1103 + 17) % Q).collect();
        for (to, &number) in random.as_chunks_mut::<DRAW>().0.iter_mut().zip(&numbers) {
            *to = draw_of(number);
        }
        let bits = |number: u32, width: u32| {
            let scaled = f64::from(number) * f64::from(1 << width) / f64::from(Q);
            let value = (scaled + 0.5).floor() as u32 % (1 << width);
            (0..width).map(move |bit| value >> bit & 1 == 1)
        };
        let wanted: Vec<bool> = numbers[..768].iter().flat_map(|&number| bits(number, 10)).collect();
        let wanted = [wanted, numbers[768..].iter().flat_map(|&number| bits(number, 4)).collect()].concat();
        let made = ciphertext(&random);
        let made: Vec<bool> =
            made.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)).collect();
        assert_eq!(made, wanted);
    }

    #[test]
    fn a_key_has_no_coefficient_of_the_modulus_or_above() {
        let mut key = [0; MLKEM_KEY_LEN];
        // The seed may be anything.
        key[COEFFICIENTS_LEN..].fill(0xff);
        assert!(is_key(&key));
        for place in [0, 1, COEFFICIENTS_LEN / 3 - 1] {
            for (coefficient, shift) in [(Q, 0), (4095, 0), (Q, 12), (4095, 12)] {
                let mut broken = key;
                let at = place * 3;
                broken[at..at + 3].copy_from_slice(&(coefficient << shift).to_le_bytes()[..3]);
                assert!(!is_key(&broken), "coefficient {coefficient} at {place}, shift {shift}");
                broken[at..at + 3].copy_from_slice(&((Q - 1) << shift).to_le_bytes()[..3]);
                assert!(is_key(&broken));
            }
        }
    }
}
