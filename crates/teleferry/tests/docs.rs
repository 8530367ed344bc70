//! What the pages for operators show is true: configurations are valid, commands exist, those that need no network and no
//! running process are run, links lead somewhere, and translations show the same as the original.

mod support;

#[path = "docs/commands.rs"]
mod commands;
#[path = "docs/configurations.rs"]
mod configurations;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/translations.rs"]
mod translations;
