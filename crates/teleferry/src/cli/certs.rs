//! `teleferry certs`

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::failure::Failure;
use crate::clock;
use crate::identity::authority::{Authority, AuthorityError, Listed, Made, Replace};
use crate::identity::{Side, day, expires_soon};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    order: Order,
}

#[derive(Subcommand)]
enum Order {
    /// Makes an authority and the certificate of the first back
    Init {
        /// A host name or an address by which fronts know the back; can be given several times
        #[arg(long, value_name = "HOST", required = true)]
        name: Vec<String>,

        #[command(flatten)]
        place: Place,

        /// Replaces an authority that is there: what it signed is worth nothing afterwards
        #[arg(long)]
        force: bool,
    },
    /// Makes the certificate of a front, or with --back of a further back
    Issue {
        /// What to call the front: in the back's log and metrics; or the back's host name or address
        name: String,

        /// It is for a back
        #[arg(long)]
        back: bool,

        #[command(flatten)]
        place: Place,

        /// Replaces a certificate and a key that are there
        #[arg(long)]
        force: bool,
    },
    /// Makes a certificate anew that expires soon, for the same key
    Renew {
        /// Whose
        name: String,

        #[command(flatten)]
        place: Place,
    },
    /// Takes back every certificate of a name: writes the list of those that are refused
    Revoke {
        /// Whose
        name: String,

        #[command(flatten)]
        place: Place,
    },
    /// Lists every certificate with its name, its side and when it expires
    List {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args)]
struct Place {
    /// The directory of the authority: to be kept in a safe place, and on no front
    #[arg(long = "dir", value_name = "DIR", default_value = "certs")]
    directory: PathBuf,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let now = i64::try_from(clock::unix_time()).unwrap_or(i64::MAX);
    match &arguments.order {
        Order::Init { name, place, force } => init(name, place, replace(*force), now, out),
        Order::Issue { name, back, place, force } => {
            let side = if *back { Side::Back } else { Side::Front };
            let mut authority = place.open()?;
            let made = authority.issue(side, std::slice::from_ref(name), now, replace(*force))?;
            tell_made(&authority, side, &made, out)?;
            tell_about_older(&authority, name, out)
        }
        Order::Renew { name, place } => renew(name, place, now, out),
        Order::Revoke { name, place } => revoke(name, place, now, out),
        Order::List { place } => list(place, now, out),
    }
}

const fn replace(force: bool) -> Replace {
    if force { Replace::Force } else { Replace::Never }
}

impl Place {
    fn open(&self) -> Result<Authority, AuthorityError> {
        Authority::open(&self.directory)
    }
}

fn init(
    names: &[String],
    place: &Place,
    replace: Replace,
    now: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut authority = Authority::make(&place.directory, names, now, replace)?;
    let made = authority.issue(Side::Back, names, now, Replace::Force)?;
    let directory = place.directory.display();
    writeln!(out, "An authority was made in {directory}; it expires on {}.", day(authority.validity().1))?;
    writeln!(
        out,
        "Who has {directory}/ca.key can make fronts and backs: keep that file here, and copy it nowhere.\n"
    )?;
    tell_made(&authority, Side::Back, &made, out)?;
    writeln!(out, "\nThen make a certificate for every front: teleferry certs issue NAME --dir {directory}")?;
    Ok(())
}

/// Says where which file goes, and what to write into the configuration.
fn tell_made(authority: &Authority, side: Side, made: &Made, out: &mut dyn Write) -> Result<(), Failure> {
    let Made { name, certificate, key, expires } = made;
    let which = side.name();
    writeln!(out, "The certificate of the {which} `{name}` expires on {}.", day(*expires))?;
    writeln!(out, "Copy these files to where the {which}'s configuration is, the key for its user alone:\n")?;
    let files = [&authority.certificate(), certificate, key, &authority.revocation_list()];
    for file in files {
        writeln!(out, "    {}", file.display())?;
    }
    writeln!(out, "\nand write into that configuration:\n")?;
    writeln!(out, "    [role]\n    kind = \"{which}\"")?;
    match side {
        Side::Front => writeln!(out, "    [role.front]\n    backs = [\"https://HOST\"]")?,
        Side::Back => writeln!(out, "    [role.back]\n    listen = \"[::]:443\"")?,
    }
    writeln!(out, "    [role.tls]")?;
    for (key, file) in ["ca", "cert", "key", "revoked"].into_iter().zip(files) {
        writeln!(out, "    {key} = {:?}", file_name(file))?;
    }
    Ok(())
}

fn renew(name: &str, place: &Place, now: i64, out: &mut dyn Write) -> Result<(), Failure> {
    let made = place.open()?.renew(name, now)?;
    writeln!(out, "The certificate of `{name}` expires on {} now; its key is the same.", day(made.expires))?;
    writeln!(
        out,
        "Copy {} over the old one there, and have the process reload: teleferry ctl reload",
        made.certificate.display()
    )?;
    Ok(())
}

fn revoke(name: &str, place: &Place, now: i64, out: &mut dyn Write) -> Result<(), Failure> {
    let mut authority = place.open()?;
    match authority.revoke(name, now)? {
        0 => writeln!(out, "Every certificate of `{name}` was on the list already.")?,
        1 => writeln!(out, "The certificate of `{name}` is on the list of those that are refused.")?,
        n => writeln!(out, "{n} certificates of `{name}` are on the list of those that are refused.")?,
    }
    writeln!(
        out,
        "Copy {} to every back and every front, name it there as `role.tls.revoked`, and have them reload: teleferry ctl reload",
        authority.revocation_list().display()
    )?;
    Ok(())
}

/// A certificate that was replaced is as good as before to whoever has its key.
fn tell_about_older(authority: &Authority, name: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let listed = authority.list()?;
    let older = listed.iter().filter(|one| one.entry.name == name && !one.is_newest && !one.is_revoked);
    if older.count() > 0 {
        writeln!(
            out,
            "\nThe certificate that was there before is still good: when its key is in other hands, revoke the name (`teleferry certs revoke {name}`) and issue it again."
        )?;
    }
    Ok(())
}

fn list(place: &Place, now: i64, out: &mut dyn Write) -> Result<(), Failure> {
    let authority = place.open()?;
    let listed = authority.list()?;
    let names: BTreeSet<usize> = listed.iter().map(|one| one.entry.name.len()).collect();
    let width = names.last().copied().unwrap_or(0).max("NAME".len());
    writeln!(out, "{:width$}  SIDE   EXPIRES     STATE", "NAME")?;
    let (begins, ends) = authority.validity();
    writeln!(out, "{:width$}  ca     {}  {}", "-", day(ends), age(begins, ends, now))?;
    for one in &listed {
        let Listed { entry, is_revoked, is_newest } = one;
        let state = match (is_revoked, is_newest) {
            (true, _) => "revoked",
            (false, true) => age(entry.signed, entry.expires, now),
            (false, false) => "replaced by a newer one, good until then",
        };
        writeln!(out, "{:width$}  {:5}  {}  {state}", entry.name, entry.side.name(), day(entry.expires))?;
    }
    Ok(())
}

fn age(begins: i64, ends: i64, now: i64) -> &'static str {
    if ends < now {
        "expired"
    } else if expires_soon(begins, ends, now) {
        "expires soon: renew it"
    } else {
        "good"
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        Self::Run(error.into())
    }
}
