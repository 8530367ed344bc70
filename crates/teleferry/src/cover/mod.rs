//! Everybody who is not a client of ours visits the cover site: raw bytes from the first one on, with the site's own
//! timing. Without a site, strangers are read from and never answered.

mod farewell;
mod site;
mod visit;

pub(crate) use farewell::farewell;
pub(crate) use site::Site;
pub(crate) use visit::visit;
