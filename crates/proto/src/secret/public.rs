//! Keys and tags that everybody knows: examples from the manuals of other programs.

use super::SecretKey;

/// Whether the key stands in a manual, so that whoever scans for proxies tries it first.
#[must_use]
pub fn is_public_secret(key: &SecretKey) -> bool {
    PUBLIC_SECRETS.contains(&u128::from_be_bytes(*key.as_bytes()))
}

/// Whether the advertising tag stands in a manual, so that it would promote a stranger's channel.
#[must_use]
pub fn is_public_tag(tag: &[u8; 16]) -> bool {
    PUBLIC_TAGS.contains(&u128::from_be_bytes(*tag))
}

const PUBLIC_SECRETS: [u128; 5] = [
    0xd0d6_e111_bada_5511_fcce_9584_dead_beef,
    0x0000_0000_0000_0000_0000_0000_0000_0000,
    0x0000_0000_0000_0000_0000_0000_0000_0001,
    0x367a_189a_ee18_fa31_c190_054e_fd4a_8e95,
    0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
];

const PUBLIC_TAGS: [u128; 3] = [
    0xdcbe_8f14_93fa_4cd9_ab30_0891_c0b5_b326,
    0xcf8e_6baf_f125_ed5f_661a_761e_6956_7711,
    0x3c09_c680_b76e_e91a_4c25_ad51_f742_267d,
];
