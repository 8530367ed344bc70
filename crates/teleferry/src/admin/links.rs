//! Links for the page: those of [`crate::links`], each with its QR code.

use qrcode::{Color, QrCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Snapshot;
use crate::links::{Link, links_of};

/// A link and its picture. No `Debug`: it holds a secret.
#[derive(Serialize, ToSchema)]
pub(super) struct ShownLink {
    #[serde(flatten)]
    link: Link,
    qr: Qr,
}

/// A QR code as a picture that can be drawn.
#[derive(Serialize, ToSchema)]
struct Qr {
    /// Modules in a row, without a margin.
    size: usize,
    /// The path of an SVG: a square for each run of dark modules.
    path: String,
}

/// Every link, or why there are none in a sentence without a full stop.
pub(super) fn shown(snapshot: &Snapshot) -> Result<Vec<ShownLink>, String> {
    let mut shown = Vec::new();
    for listener in &snapshot.listeners {
        for link in links_of(listener, None, snapshot)? {
            let qr = Qr::draw(&link.tg).ok_or("a link is too long for a QR code")?;
            shown.push(ShownLink { link, qr });
        }
    }
    Ok(shown)
}

impl Qr {
    fn draw(text: &str) -> Option<Self> {
        use std::fmt::Write as _;
        let code = QrCode::new(text).ok()?;
        let size = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(size).enumerate() {
            let mut x = 0;
            for run in row.chunk_by(|a, b| a == b) {
                if run.first() == Some(&Color::Dark) {
                    // Writing to a string cannot fail.
                    let _ = write!(path, "M{x} {y}h{len}v1h-{len}z", len = run.len());
                }
                x += run.len();
            }
        }
        Some(Self { size, path })
    }
}
