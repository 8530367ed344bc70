//! `config` and `nearestDc`, and the long opening that clients put before their first request.

use super::session::Peer;
use super::tl::{self, Reader, Write as _};

const CONFIG: u32 = 0xcc1a_241e;
const DC_OPTION: u32 = 0x18b7_a10d;
const NEAREST_DC: u32 = 0x8e1a_1775;

/// How long a client may keep the configuration.
const LIFETIME_S: u32 = 3600;
/// Test data centres have this added to their number in headers, but not in messages.
const TEST_OFFSET: i16 = 10_000;

/// Reads over the fields of `initConnection` up to the request inside.
pub(super) fn skip_init_connection(reader: &mut Reader<'_>) -> Option<()> {
    const PROXY: u32 = 1;
    const PARAMS: u32 = 2;
    let flags = reader.u32()?;
    let _api_id = reader.u32()?;
    for _device_system_app_and_languages in 0..6 {
        reader.bytes()?;
    }
    if flags & PROXY != 0 {
        let _constructor = reader.u32()?;
        let _address = reader.bytes()?;
        let _port = reader.u32()?;
    }
    if flags & PARAMS != 0 {
        skip_json(reader, 8)?;
    }
    Some(())
}

fn skip_json(reader: &mut Reader<'_>, depth: u8) -> Option<()> {
    const NULL: u32 = 0x3f6d_7b68;
    const BOOL: u32 = 0xc734_5e6a;
    const NUMBER: u32 = 0x2be0_dfa4;
    const STRING: u32 = 0xb71e_767a;
    const ARRAY: u32 = 0xf744_4763;
    const OBJECT: u32 = 0x99c1_d49d;
    let depth = depth.checked_sub(1)?;
    match reader.u32()? {
        NULL => {}
        BOOL => drop(reader.u32()?),
        NUMBER => drop(reader.u64()?),
        STRING => drop(reader.bytes()?),
        kind @ (ARRAY | OBJECT) => {
            let _vector = reader.u32()?;
            for _ in 0..reader.u32()? {
                if kind == OBJECT {
                    let (_constructor, _key) = (reader.u32()?, reader.bytes()?);
                }
                skip_json(reader, depth)?;
            }
        }
        _ => return None,
    }
    Some(())
}

/// A `config` with one data centre: the one that sends it.
pub(super) fn config(peer: &Peer) -> Vec<u8> {
    let now = peer.now.as_secs() as u32;
    let this_dc = number(peer.dc);
    let mut config = Vec::with_capacity(300);
    config.u32(CONFIG);
    config.u32(0);
    config.u32(now);
    config.u32(now.wrapping_add(LIFETIME_S));
    config.bool(peer.dc > TEST_OFFSET);
    config.u32(this_dc);
    config.u32(tl::VECTOR);
    config.u32(1);
    config.u32(DC_OPTION);
    config.u32(u32::from(peer.address.is_ipv6()));
    config.u32(this_dc);
    config.bytes(peer.address.ip().to_string().as_bytes());
    config.u32(peer.address.port().into());
    config.bytes(b"apv3.stel.com");
    for limit_or_time in [
        200,       // chat_size_max
        200_000,   // megagroup_size_max
        100,       // forwarded_count_max
        210_000,   // online_update_period_ms
        5_000,     // offline_blur_timeout_ms
        15_000,    // offline_idle_timeout_ms
        300_000,   // online_cloud_timeout_ms
        30_000,    // notify_cloud_delay_ms
        1_500,     // notify_default_delay_ms
        60_000,    // push_chat_period_ms
        2,         // push_chat_limit
        172_800,   // edit_time_limit
        172_800,   // revoke_time_limit
        172_800,   // revoke_pm_time_limit
        2_419_200, // rating_e_decay
        200,       // stickers_recent_limit
        604_800,   // channels_read_media_period
        20_000,    // call_receive_timeout_ms
        90_000,    // call_ring_timeout_ms
        30_000,    // call_connect_timeout_ms
        10_000,    // call_packet_timeout_ms
    ] {
        config.u32(limit_or_time);
    }
    config.bytes(b"https://t.me/");
    for number in [
        1024, // caption_length_max
        4096, // message_length_max
        4,    // webfile_dc_id
    ] {
        config.u32(number);
    }
    config
}

/// The nearest data centre is this one.
pub(super) fn nearest_dc(peer: &Peer) -> Vec<u8> {
    let mut nearest = Vec::with_capacity(16);
    nearest.u32(NEAREST_DC);
    nearest.bytes(b"NL");
    nearest.u32(number(peer.dc));
    nearest.u32(number(peer.dc));
    nearest
}

fn number(dc: i16) -> u32 {
    let bare = if dc > TEST_OFFSET { dc - TEST_OFFSET } else { dc };
    u32::from(bare.unsigned_abs())
}
