//! Everybody who is not a client of ours visits the cover site: raw bytes from the first one on, with the site's own
//! timing. Without a site, strangers are read from and never answered.

mod audit;
mod call;
mod early;
mod farewell;
mod keeper;
mod latency;
mod learn;
mod own;
mod site;
mod visit;
mod way;

pub(crate) use audit::Audit;
pub(crate) use early::Early;
pub(crate) use farewell::farewell;
pub(crate) use learn::Verdict;
pub(crate) use own::Own;
pub(crate) use site::{Site, SiteError};
pub(crate) use visit::visit;
